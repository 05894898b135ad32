import numpy as np
import pytest

from devise_tf.evaluation.report.projector import export_projector

VECTORS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
NAMES = ["cat", "snow leopard", "été", "a\tb", "fox"]


def read(path):
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def test_files_hold_vectors_and_texts(tmp_path):
    export_projector(tmp_path / "new", VECTORS, {"term": NAMES, "label": list("abcde")}, "label_vectors")
    np.testing.assert_allclose(np.array(read(tmp_path / "new" / "vectors.tsv"), float), VECTORS, rtol=1e-5)
    expected = [["term", "label"], ["cat", "a"], ["snow leopard", "b"], ["été", "c"], ["a b", "d"], ["fox", "e"]]
    assert read(tmp_path / "new" / "metadata.tsv") == expected
    export_projector(tmp_path / "new", VECTORS, {"term": NAMES})
    assert read(tmp_path / "new" / "metadata.tsv")[0] == ["cat"]  # A single column has no head line.


@pytest.mark.parametrize("columns", [{"term": NAMES}, {"term": NAMES, "label": list("abcde")}])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_tensorboard_reads_them(tmp_path, columns):
    from tensorboard.backend import application
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.projector import projector_plugin
    from werkzeug import test as werkzeug_test

    export_projector(tmp_path, VECTORS, columns, "label_vectors")
    context = base_plugin.TBContext(logdir=str(tmp_path))
    plugin = projector_plugin.ProjectorPlugin(context)
    client = werkzeug_test.Client(application.TensorBoardWSGI([plugin]))
    try:
        prefix, query = "/data/plugin/projector", "?run=.&name=label_vectors"
        assert client.get(f"{prefix}/runs").get_json() == ["."]
        (embedding,) = client.get(f"{prefix}/info?run=.").get_json()["embeddings"]
        assert embedding["tensorName"] == "label_vectors" and embedding["tensorShape"] == [5, 3]
        tensor = client.get(f"{prefix}/tensor{query}").data
        np.testing.assert_allclose(np.frombuffer(tensor, np.float32).reshape(5, 3), VECTORS, rtol=1e-5)
        metadata = client.get(f"{prefix}/metadata{query}").data.decode()
        assert len(metadata.splitlines()) == 5 + (len(columns) > 1)
    finally:
        plugin._closed = True  # There is no public way to end its thread.


@pytest.mark.parametrize(
    ("vectors", "columns", "name"),
    [
        (VECTORS, {"term": NAMES[:4]}, "a"),
        (VECTORS[0], {"term": NAMES}, "a"),
        (VECTORS, {}, "a"),
        (VECTORS, {"term": NAMES}, 'a" b'),
    ],
)
def test_wrong_numbers_and_names_are_named(tmp_path, vectors, columns, name):
    with pytest.raises(ValueError, match="Received: "):
        export_projector(tmp_path / "new", vectors, columns, name)
    assert list(tmp_path.iterdir()) == []
