"""The run that a preset opens: its networks, vectors, labels and hierarchy."""

import hashlib
import os

import numpy as np
import pytest

import devise_tf.models
from devise_tf.images import Crop
from devise_tf.labels import Hierarchy, LabelSet
from devise_tf.models.registry import build_visual_model
from devise_tf.models.sources import PretrainedRun, TrainedRun, open_run
from devise_tf.models.weights_file import save_weights
from devise_tf.text import load_vectors, save_vectors
from tests.helpers.predictions import unit
from tests.helpers.preset_files import TEMPERATURE, WEIGHT, networks
from tests.helpers.tiny_model_dir import DIMENSION, IMAGE_SIZE, LABELS, RESIZE_SIZE, TERMS


def test_weights_that_do_not_fit_are_refused(folder, changed):
    weights = folder / "softmax.npz"
    whole = weights.read_bytes()
    path = changed(networks=networks(folder, softmax={"sha256": 64 * "0"}))
    with pytest.raises(
        ValueError, match=r"Cannot load weights: the file's SHA-256 is .*Received: path='.*softmax.npz'"
    ):
        open_run(path).network("softmax")
    with pytest.raises(ValueError, match="the file's SHA-256 is"):  # DeViSE stands on it
        open_run(path).network("devise")
    weights.write_bytes(whole[:-1000])
    with pytest.raises(ValueError, match="the file's SHA-256 is"):
        open_run(path).network("softmax")
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest().upper()
    path = changed(networks=networks(folder, softmax={"sha256": sha256}))
    with pytest.raises(ValueError, match="Cannot load weights: the archive is damaged or truncated"):
        open_run(path).network("softmax")
    weights.write_bytes(whole)
    sha256 = hashlib.sha256(whole).hexdigest()
    path = changed(networks=networks(folder, softmax={"visual_model": "resnet_micro", "sha256": sha256}))
    with pytest.raises(ValueError, match="Cannot load weights: the file must have the model's"):
        open_run(path).network("softmax")
    path = changed(networks=networks(folder, softmax={"visual_model": "resnet_tine"}))
    with pytest.raises(ValueError, match="`name` must be one of .* Did you mean 'resnet_tin[iy]'"):
        open_run(path).network("softmax")
    weights.unlink()
    with pytest.raises(ValueError, match="`weights` not found"):
        open_run(path)


def test_first_of_several_vector_files_wins(folder, changed):
    """Files of one space, one after the other; of a term in both, here the cat, the first vector."""
    more = np.random.default_rng(3).normal(size=(3, DIMENSION)).astype(np.float32)
    save_vectors(folder / "more.bin", ["okapi", "cat", "tapir"], more, "word2vec_binary")
    run = open_run(changed(vectors="vectors.bin, more.bin"))
    terms, vectors = run.term_vectors("conse")
    assert terms == [*TERMS, "okapi", "tapir"]
    own = load_vectors(str(folder / "vectors.bin"))[1]
    np.testing.assert_array_equal(vectors, np.concatenate([own, more[[0, 2]]]))
    terms, vectors = run.term_vectors("conse", LabelSet(["a", "b"], [["tapir"], ["cat"]]))
    assert terms == ["cat", "tapir"]
    np.testing.assert_array_equal(vectors, [own[TERMS.index("cat")], more[2]])
    run = open_run(changed(vectors="more.bin,vectors.bin"))
    terms, vectors = run.term_vectors("conse", LabelSet(["a"], [["cat"]]))
    np.testing.assert_array_equal(vectors, more[[1]])


def test_vector_files_of_different_dimensions_are_refused(folder, changed):
    """Also where no term of one of the files is asked for."""
    save_vectors(folder / "more.bin", ["okapi"], np.ones((1, DIMENSION + 1)), "word2vec_binary")
    run = open_run(changed(vectors="vectors.bin,more.bin"))
    received = f"Received: {DIMENSION} in '{folder}/vectors.bin', {DIMENSION + 1} in '{folder}/more.bin'"
    for labels in (None, LabelSet(["a"], [["cat"]])):
        with pytest.raises(ValueError, match=f"must be of one space, and so of one dimension. {received}"):
            run.term_vectors("conse", labels)


def test_labels_without_a_vector_are_named(folder, changed):
    with open(folder / "labels.txt", "a", encoding="utf-8") as file:
        file.write("n6\tokapi\n")
    path = changed(networks=networks(folder))
    with pytest.raises(ValueError, match="Cannot load weights"):  # six labels, and a softmax of five
        open_run(path).network("softmax")
    network = build_visual_model("resnet_tiny", 6, IMAGE_SIZE)
    sha256 = save_weights(network, folder / "softmax.npz")
    run = open_run(changed(networks=networks(folder, softmax={"sha256": sha256})))
    with pytest.raises(ValueError, match=r"1 of 6 labels have no vector: n6 \(okapi\)"):
        run.network("devise")
    table = run.conse(run.network("softmax")).label_vectors.numpy()  # passes over it
    assert table.shape == (6, DIMENSION) and not table[5].any()


def test_run_has_the_settings_of_the_preset(folder):
    run = open_run(str(folder / "tiny.json"))
    assert isinstance(run, PretrainedRun)
    assert (run.labels.ids, run.seen, run.unseen) == (list(LABELS), list(LABELS), [])
    assert run.networks() == ["softmax", "devise", "profiles"]
    assert run.crop == Crop(IMAGE_SIZE, RESIZE_SIZE)
    assert sorted(run.hierarchy().parents) == [*LABELS, "thing"]
    assert run.directory == os.path.join(os.getcwd(), "tiny")
    terms, vectors = run.term_vectors("devise")
    expected = load_vectors(str(folder / "vectors.bin"))
    assert terms == expected[0] == TERMS
    np.testing.assert_array_equal(vectors, expected[1])
    for name in ("l2", "conse", "cnn"):
        with pytest.raises(
            ValueError, match=rf"tiny has the models \['softmax', 'devise', 'profiles', 'conse'\]. Received: '{name}'"
        ):
            run.network(name)


def test_models_follow_the_formula_from_the_softmax(folder):
    """By the formula: the label vectors of each model, its projection, and the softmax's part of the embedding."""
    run = open_run(str(folder / "tiny.json"))
    softmax = run.network("softmax")
    assert run.network("softmax") is softmax  # once
    with np.load(folder / "softmax.npz", allow_pickle=False) as weights:
        kernel, bias = weights["logits/kernel"].astype(np.float64), weights["logits/bias"]
    pixels = np.random.default_rng(0).uniform(0, 255, (3, IMAGE_SIZE, IMAGE_SIZE, 3)).astype(np.float32)
    logits = softmax(pixels, training=False).numpy().astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    raw = dict(zip(*load_vectors(str(folder / "vectors.bin")), strict=True))
    v = {term: unit(vector.astype(np.float64)) for term, vector in raw.items()}
    red_panda = unit(raw["red"].astype(np.float64) + raw["panda"])
    first = np.stack([v["snow_leopard"], v["cat"], v["dog"], red_panda, v["zebra"]])
    heads = np.stack(
        [unit(v["snow_leopard"] + v["leopard"]), v["cat"], v["dog"], unit(red_panda + v["panda"]), v["zebra"]]
    )
    profiles = unit(np.exp(heads @ heads.T / TEMPERATURE))
    representation = None
    for name, vectors, ridge in (("devise", first, 0.5), ("profiles", profiles, 2.0)):
        centered = kernel - kernel.mean(axis=1, keepdims=True)
        projection = centered @ vectors @ np.linalg.inv(vectors.T @ vectors + ridge * np.eye(vectors.shape[1]))
        model = run.network(name)
        assert model.name == name
        np.testing.assert_allclose(model.label_vectors, vectors, atol=1e-5)
        np.testing.assert_allclose(model.projection.kernel, projection, atol=1e-4)
        outputs = model.visual_model(pixels, training=False)
        representation = outputs if name == "devise" else outputs[0]
        np.testing.assert_allclose(representation @ kernel + bias, logits, atol=1e-4)
        embeddings = representation @ projection
        if name == "profiles":
            embeddings = unit(embeddings) + WEIGHT * unit(probabilities)
        np.testing.assert_allclose(model(pixels, training=False), embeddings, atol=1e-4)
    polar_bear = unit(unit(raw["polar"].astype(np.float64) + raw["bear"]) + v["bear"])
    among_profiles = run.model("conse_profiles")
    for model in (run.model("profiles"), among_profiles):
        result = model.open_space().table(LabelSet(["x"], [["polar bear"]]))
        np.testing.assert_allclose(result.values, [unit(np.exp(heads @ polar_bear / TEMPERATURE))], atol=1e-5)
    np.testing.assert_allclose(among_profiles.embed(pixels), unit(probabilities), atol=1e-5)
    # Of the same terms as the default model, which is that of profiles.
    conse = run.model("conse")
    np.testing.assert_allclose(conse.embed(pixels), unit(probabilities @ heads), atol=1e-5)
    result = conse.open_space().table(LabelSet(["x"], [["polar bear"]]))
    np.testing.assert_allclose(result.values, [polar_bear], atol=1e-5)
    assert "conse_profiles" not in run.models()
    assert [row for row, _ in run.compared()] == ["softmax", "conse", "conse_profiles", "devise", "profiles"]


def test_directory_with_the_name_of_a_preset(folder, tmp_path, monkeypatch):
    """A model directory is opened; what an evaluation of the preset left is none, and hides nothing."""
    name = devise_tf.models.DEFAULT_PRESET
    monkeypatch.chdir(tmp_path)
    (tmp_path / name / "report").mkdir(parents=True)
    assert isinstance(open_run(name), PretrainedRun)
    with pytest.raises(ValueError, match="`model_dir` must be the directory of a run"):
        open_run(f"./{name}")  # as a path
    with pytest.raises(ValueError, match="`model_dir` must be the directory of a run"):
        open_run(str(folder))
    (tmp_path / name / "flags.txt").write_text("--image_size=24\n")
    LabelSet(["n1"], [["cat"]]).save(tmp_path / name / "labels.txt")
    for named in (name, f"./{name}", str(tmp_path / name)):
        run = open_run(named)
        assert type(run) is TrainedRun and run.labels.ids == ["n1"]


def test_packaged_hierarchy_is_opened_whole(changed):
    result = open_run(changed(hierarchy="imagenet")).hierarchy()
    assert result.parents == Hierarchy.open("imagenet").parents


def test_penalties_of_a_preset_are_on_its_labels(changed):
    """All of its labels are trained; what is taken from their scores is the model's own."""
    run = open_run(changed(penalties={"profiles": 0.25}))
    table = run.answering().space.table(["polar bear", "ounce", "red panda", "zebra", "leopard"])
    np.testing.assert_array_equal(table.offsets, [0, -0.25, -0.25, 0])
    assert table.unknown == ["ounce"]
    assert run.answering("devise").space.table(["zebra", "leopard"]).penalties is None
