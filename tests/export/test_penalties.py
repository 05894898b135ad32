"""Trained and new labels in one list: exports answer as predictions do, and as the formula says."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import devise_tf.models
from devise_tf.export.build import ExportSettings, export_model
from devise_tf.export.label_graph import VectorGraph
from devise_tf.export.relabel import relabel
from devise_tf.images.decode_image import decode_image, resize_and_crop
from devise_tf.labels import LabelSet, Penalty, WordSpace
from devise_tf.models.sources import TrainedRun
from devise_tf.text import get_tokenizer, load_vectors, save_vectors
from devise_tf.text.term_index import split_terms
from tests.helpers.exports import copy_of, manifest_of
from tests.helpers.predictions import unit
from tests.helpers.tiny_model_dir import IMAGE_SIZE, LABELS, RESIZE_SIZE, add_devise, photo

PENALTY = 0.3
PHOTOS = [photo(i) for i in range(4)]
# Of a request or a file: trained labels, one of them composed, and new ones, one of them composed.
MIXED = ["ounce, snow leopard", "zebra", "dog", "red panda", "polar bear", "Leopard"]
TRAINED = ["cat", "a photo of a snow leopard", "red pandas"]
NEW = ["zebra", "leopard", "polar bear"]


@pytest.fixture(scope="module", params=["heads", pytest.param("first", marks=pytest.mark.slow)])
def run(request, tiny_model_dir, tmp_path_factory):
    """A run whose `devise` has label vectors of one kind, and penalties of its evaluation."""
    folder = tmp_path_factory.mktemp("run")
    model_dir = pathlib.Path(copy_of(tiny_model_dir, folder / "run"))
    add_devise(model_dir, "devise", request.param)
    (model_dir / "penalties.json").write_text(f'{{"devise": {PENALTY}}}')
    return str(model_dir), request.param


def expected_scores(model_dir, label_terms, embeddings):
    """Cosines of label texts by the formula, and which texts are of trained labels."""
    vectors = dict(zip(*load_vectors(f"{model_dir}/vectors.bin"), strict=True))
    of_words = {
        "ounce, snow leopard": ["snow_leopard"], "a photo of a snow leopard": ["snow_leopard"], "zebra": ["zebra"],
        "snow leopard": ["snow_leopard"], "dog": ["dog"], "cat": ["cat"], "red panda": ["red", "panda"],
        "red pandas": ["red", "panda"], "polar bear": ["polar", "bear"], "Leopard": ["leopard"], "leopard": ["leopard"],
        "lynx": ["lynx"],
    }  # fmt: skip
    result = {}
    for text, words in of_words.items():
        if set(words) <= set(vectors):
            vector = unit(np.sum([vectors[word] for word in words], axis=0))
            last = words[-1].split("_")[-1]
            if label_terms == "heads" and words != [last]:
                vector = unit(vector + unit(vectors[last]))
            result[text] = embeddings @ vector
    trained = {
        text for text, words in of_words.items() if words in (["snow_leopard"], ["dog"], ["cat"], ["red", "panda"])
    }
    return result, trained


def answers(scores, texts, trained, penalty, k=None):
    """Of each photo the texts and scores, the best first."""
    is_trained = np.array([text in trained for text in texts])
    taken = penalty * is_trained * (not is_trained.all())
    table = np.stack([scores[text] for text in texts], axis=1) - taken
    order = np.argsort(-table, axis=1, kind="stable")[:, :k]
    return [[(texts[i], row[i]) for i in ranks] for row, ranks in zip(table, order, strict=True)]


def assert_same(result, expected):
    for row, wanted in zip(result, expected, strict=True):
        assert [text for text, _ in row] == [text for text, _ in wanted]
        np.testing.assert_allclose([score for _, score in row], [score for _, score in wanted], atol=1e-5)


def signatures(version):
    return tf.saved_model.load(version).signatures


def served_answers(served, texts=None):
    """What an export answers of labels that a request names, or of its own."""
    if texts is None:
        output = served["serving_default"](image_bytes=tf.constant(PHOTOS))
    else:
        output = served["classify"](image_bytes=tf.constant(PHOTOS), labels=tf.constant([texts]))
    names, scores = output["labels"].numpy(), output["scores"].numpy()
    return [[(n.decode(), s) for n, s in zip(*row, strict=True)] for row in zip(names, scores, strict=True)]


def model_answers(model, texts):
    """What a `LabelModel` answers, which evaluations are made of."""
    pixels = np.stack([resize_and_crop(decode_image(image), IMAGE_SIZE, RESIZE_SIZE) for image in PHOTOS])
    table = model.space.table(texts)
    _, scores, rows = model.answer(pixels, table.values, table.offsets, len(table))
    return [
        [(table.ids[i], s) for i, s in zip(*row, strict=True)] for row in zip(rows.numpy(), scores.numpy(), strict=True)
    ]


def test_predictions_models_and_exports_take_the_same_penalty(run, tmp_path):
    """Lists of a request and of the export's own, before and after other labels took their place."""
    model_dir, label_terms = run
    predictor = devise_tf.models.load(model_dir)
    scores, trained = expected_scores(model_dir, label_terms, predictor.embed(PHOTOS))
    served = signatures(export_model(model_dir, str(tmp_path / "base"), ExportSettings(k=6)))
    model = TrainedRun(model_dir).answering()
    for texts in (MIXED, TRAINED, NEW):
        expected = answers(scores, texts, trained, PENALTY)
        assert_same(served_answers(served, texts), expected)
        assert_same(model_answers(model, texts), expected)
        assert_same([[(a.id, a.score) for a in row] for row in predictor.predict_labels(PHOTOS, texts, 6)], expected)
    own = answers(scores, [terms[0] for terms in LABELS.values()], trained, PENALTY)
    assert_same(served_answers(served), own)
    # Rows of a request are lists of their own, and an unknown label is in none.
    rows = [["cat", "zebra"], ["cat", "dog"], ["zebra", "leopard"], ["dog", "okapi"]]
    output = served["classify"](image_bytes=tf.constant(PHOTOS), labels=tf.constant(rows))
    for number, row in enumerate(rows[:3]):
        wanted = answers(scores, row, trained, PENALTY)[number]
        assert output["labels"].numpy()[number].tolist() == [text.encode() for text, _ in wanted]
        np.testing.assert_allclose(output["scores"][number], [score for _, score in wanted], atol=1e-5)
    np.testing.assert_allclose(output["scores"][3], [scores["dog"][3], -1], atol=1e-5)
    # Lists of both kinds, and of one.
    for texts in (["zebra", "red panda", "polar bear", "snow leopard"], ["cat", "dog"]):
        (tmp_path / "labels.txt").write_text("".join(f"x{i}\t{text}\n" for i, text in enumerate(texts)))
        version = relabel(str(tmp_path / "base"), str(tmp_path / "labels.txt"))
        served = signatures(version)
        assert_same(served_answers(served), answers(scores, texts, trained, PENALTY))
        assert_same(served_answers(served, MIXED), answers(scores, MIXED, trained, PENALTY))
    assert manifest_of(version)["penalty"] == PENALTY
    assert manifest_of(version)["trained_labels"] == {label: LABELS[label] for label in ("n1", "n2", "n3", "n4")}


def test_relabeling_finds_the_trained_labels_anew(run, tmp_path):
    """An export of other labels still knows them; of terms that are added, a trained label's is one."""
    model_dir, label_terms = run
    (tmp_path / "labels.txt").write_text("a\tzebra\nb\tpolar bear\n")
    settings = ExportSettings(labels=str(tmp_path / "labels.txt"), max_terms=0)
    version = export_model(model_dir, str(tmp_path / "base"), settings)
    scores, trained = expected_scores(model_dir, label_terms, devise_tf.models.load(model_dir).embed(PHOTOS))
    texts = ["snow leopard", "zebra", "red panda"]
    assert_same(served_answers(signatures(version), texts), answers(scores, texts, trained, PENALTY))
    terms, vectors = load_vectors(f"{model_dir}/vectors.bin")
    more = np.concatenate([vectors, vectors[:2] - vectors[3:5]])
    save_vectors(tmp_path / "more.bin", [*terms, "ounce", "lynx"], more, "word2vec_binary")
    (tmp_path / "labels.txt").write_text("a\tounce\nb\tlynx\n")
    version = relabel(str(tmp_path / "base"), str(tmp_path / "labels.txt"), str(tmp_path / "more.bin"))
    embeddings = devise_tf.models.load(model_dir).embed(PHOTOS)
    both = {"ounce": embeddings @ unit(more[-2]), "lynx": embeddings @ unit(more[-1])}
    expected = answers(both, ["ounce", "lynx"], {"ounce"}, PENALTY)
    served = signatures(version)
    assert_same(served_answers(served), expected)
    assert_same(served_answers(served, ["ounce", "lynx"]), expected)


def test_export_takes_another_penalty_or_none(run, tmp_path):
    model_dir, label_terms = run
    scores, trained = expected_scores(model_dir, label_terms, devise_tf.models.load(model_dir).embed(PHOTOS))
    version = export_model(model_dir, str(tmp_path / "base"), ExportSettings(penalty=0.0, k=6))
    assert not {"penalty", "trained_labels"} & set(manifest_of(version))
    assert_same(served_answers(signatures(version), MIXED), answers(scores, MIXED, trained, 0))
    # Below any cosine; an unknown label still comes last.
    version = export_model(model_dir, str(tmp_path / "base"), ExportSettings(penalty=3.0, k=6))
    expected = answers(scores, MIXED, trained, 3)
    assert_same(served_answers(signatures(version), ["okapi", *MIXED]), [[*row, ("okapi", -1)] for row in expected])
    with pytest.raises(ValueError, match="leave `penalty` out. Received: penalty=0.5, model='softmax'"):
        export_model(model_dir, str(tmp_path / "base"), ExportSettings("softmax", penalty=0.5))


WORDS = ["snow_leopard", "leopard", "cat", "red", "panda", "polar", "2", "Größe", "café", "the", "red_fox", "fox"]


@pytest.mark.parametrize("label_terms", ["first", "mean", "heads"])
@pytest.mark.parametrize("rule", ["words", "unicode_script", "unnormalized_words"])
def test_graph_and_tables_take_the_same_for_trained(tmp_path, rule, label_terms):
    """Whatever is written, beside a new label."""
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype(np.float32)
    trained = LabelSet(
        ["a", "b", "c", "d", "e"],
        [["Snow leopard", "panther"], ["red panda"], ["Größe", "2"], ["unheard of"], ["polar red fox", "cat polar"]],
    )
    space = WordSpace(WORDS, vectors, label_terms, None, "drop", get_tokenizer(rule), penalty=Penalty(0.5, trained))
    terms, rows = space.requestable_terms((), 99)
    known = dataclasses.replace(space, terms=terms, vectors=rows)
    graph = VectorGraph(["cat"], vectors[:1], known, str(tmp_path / "terms.txt"), np.zeros(1, np.float32))
    rng = np.random.default_rng(1)
    pieces = [*WORDS, "cats", "a photo of", "the", ",", "(x)", "pandas", "Snow", ","]
    texts = [" ".join(rng.choice(pieces, size=rng.integers(1, 5))).replace("_", " ") for _ in range(400)]
    texts += ["red panda", "Red pandas", "polar red fox", "cat polar", "snow leopard, cat", "2, Größe", "red panda, 2"]
    query = rng.normal(size=(1, 5)).astype(np.float32)
    pairs = tf.constant([[text, "leopard"] for text in texts])
    scores, is_known = (value.numpy() for value in graph.scores(tf.constant(np.repeat(query, len(texts), 0)), pairs))
    number = 0
    for text, score, ours in zip(texts, scores, is_known, strict=True):
        table = space.table([text, "leopard"]) if split_terms(text) else None
        if table is not None and len(table) == 2:
            np.testing.assert_allclose(score, table.values @ query[0] + table.offsets, atol=1e-5, err_msg=text)
            number += bool(table.offsets[0])
        else:  # the text is unknown, or the leopard's own
            assert not ours[0] or table is not None
    assert number > 10
