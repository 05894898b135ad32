"""Labels for images against NumPy, exports and evaluation; images and labels of every kind."""

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import devise_tf.models
from devise_tf.images.decode_image import decode_image, resize_and_crop
from devise_tf.labels import LabelSet, WordSpace
from devise_tf.models.predictor import Answer, Predictor
from devise_tf.models.sources import TrainedRun
from devise_tf.models.visual import build_visual_model
from devise_tf.models.weights_file import save_weights
from devise_tf.text import load_vectors
from tests.helpers.tiny_model_dir import (
    DIMENSION,
    IMAGE_SIZE,
    LABELS,
    RESIZE_SIZE,
    TERMS,
    add_devise,
    make_model_dir,
    photo,
)

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = [
    photo(0),
    photo(1, (33, 60)),
    photo(2, (24, 24), "PNG"),
    photo(3, mode="L"),
    photo(4, (90, 30), "PNG", "RGBA"),
]
SEEN = ["n1", "n2", "n3", "n4"]
TEMPERATURE = 0.3
SINGLE_WORDS = [term for term in TERMS if "_" not in term]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A run with a softmax, `devise`, `means` whose label vectors are of all terms and heads, and `profiles`."""
    directory = tmp_path_factory.mktemp("predictor") / "run"
    make_model_dir(directory)
    add_devise(directory, "means", "heads")
    add_devise(directory, "profiles", "first", TEMPERATURE)
    return str(directory)


@pytest.fixture(scope="module")
def load(directory):
    """Loads a model of the run, once."""
    loaded = {}

    def load(model=None):
        if model not in loaded:
            loaded[model] = devise_tf.models.load(directory, model)
        return loaded[model]

    return load


@pytest.fixture(scope="module")
def pixels():
    return np.stack([resize_and_crop(decode_image(image), IMAGE_SIZE, RESIZE_SIZE) for image in PHOTOS])


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def term_vectors(directory):
    terms, vectors = load_vectors(f"{directory}/vectors.bin")
    assert terms == TERMS
    return dict(zip(terms, unit(vectors.astype(np.float64)), strict=True)), dict(zip(terms, vectors, strict=True))


def loaded_network(directory, name):
    return keras.models.load_model(f"{directory}/{name}.keras", compile=False)


def ranked(scores, labels, ids, k):
    """The answers that scores [N, L] are worth, by a stable sort."""
    return [[Answer(labels[i], row[i], ids[i]) for i in np.argsort(-row, kind="stable")[:k]] for row in scores]


def assert_answers(found, expected, atol=1e-5):
    assert [[(a.label, a.id) for a in row] for row in found] == [[(a.label, a.id) for a in row] for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose([a.score for a in row], [a.score for a in wanted], atol=atol)


def test_devise_answers_by_cosines(load, directory, pixels):
    """A label has the vector of its first term that has one, else the mean of its words'."""
    units, raw = term_vectors(directory)
    vectors = [units["snow_leopard"], units["cat"], units["dog"], unit(raw["red"] + raw["panda"]), units["zebra"]]
    embeddings = unit(loaded_network(directory, "devise")(pixels, training=False).numpy())
    expected = ranked(embeddings @ np.stack(vectors).T, [terms[0] for terms in LABELS.values()], list(LABELS), 5)
    predictor = load()
    assert (predictor.model, predictor.labels.ids, predictor.image_size) == ("devise", list(LABELS), IMAGE_SIZE)
    answers = predictor.predict_labels(PHOTOS)
    assert_answers(answers, expected)
    assert_answers(predictor.predict_labels(PHOTOS, k=2), [row[:2] for row in expected])
    assert all(type(answer.score) is float for row in answers for answer in row)
    found = predictor.embed(PHOTOS)
    assert found.dtype == np.float32 and found.shape == (5, DIMENSION)
    np.testing.assert_allclose(found, embeddings, atol=1e-5)


def test_labels_of_ones_own(load, directory, pixels):
    units, raw = term_vectors(directory)
    texts = ["Polar-Bear", "the cat", "CAFÉ", "snow_leopard", "leopard dog zebra"]
    vectors = np.stack([
        unit(raw["polar"] + raw["bear"]),
        unit(raw["the"] + raw["cat"]),
        units["café"],
        units["snow_leopard"],
        unit(raw["leopard"] + raw["dog"] + raw["zebra"]),
    ])  # fmt: skip
    embeddings = unit(loaded_network(directory, "devise")(pixels, training=False).numpy())
    expected = ranked(embeddings @ vectors.T, texts, texts, 5)
    for asked in (texts, tuple(texts), np.array(texts)):
        assert_answers(load().predict_labels(PHOTOS, asked, k=9), expected)
    labels = LabelSet(["b", "a"], [["no such", "zebra"], ["polar bear", "ounce"]])
    expected = ranked(embeddings @ np.stack([units["zebra"], vectors[0]]).T, ["no such", "polar bear"], ["b", "a"], 2)
    assert_answers(load().predict_labels(PHOTOS, labels), expected)


@pytest.mark.parametrize("model", ["means", "profiles"])
def test_labels_are_made_of_what_the_models_are_made_of(load, directory, pixels, model):
    """With heads, the last word of several is added to a term; with profiles, similarities are what is compared."""
    units, raw = term_vectors(directory)
    red_panda, panda = unit(raw["red"] + raw["panda"]), unit(raw["panda"])
    if model == "means":
        vectors = np.stack([units["cat"], unit(red_panda + panda), unit(units["snow_leopard"] + units["leopard"])])
    else:
        references = np.stack([units["snow_leopard"], units["cat"], units["dog"], red_panda])
        vectors = np.stack([units["cat"], red_panda, units["snow_leopard"]])
        vectors = unit(np.exp(vectors @ references.T / TEMPERATURE))
    embeddings = unit(loaded_network(directory, model)(pixels, training=False).numpy())
    texts = ["cat", "red panda", "snow leopard"]
    assert_answers(load(model).predict_labels(PHOTOS, texts), ranked(embeddings @ vectors.T, texts, texts, 3))


def test_a_softmax_answers_its_own_labels(load, directory, pixels):
    logits = loaded_network(directory, "cnn")(pixels, training=False).numpy().astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predictor = load("softmax")
    assert predictor.labels.ids == SEEN
    names = [LABELS[label][0] for label in SEEN]
    assert_answers(predictor.predict_labels(PHOTOS), ranked(probabilities, names, SEEN, 4))
    np.testing.assert_allclose(predictor.embed(PHOTOS), probabilities, atol=1e-6)
    # By term; "zebra" has a vector, but was not trained.
    texts = ["Ounce", "zebra", "dog", "snow-leopard"]
    known = ["Ounce", "dog", "snow-leopard"]
    assert_answers(predictor.predict_labels(PHOTOS, texts), ranked(probabilities[:, [0, 2, 0]], known, known, 3))
    assert predictor.known(texts).unknown == ["zebra"]
    # By id, else by the first term that was trained.
    labels = LabelSet(["n4", "x", "y"], [["cat"], ["zebra", "dog", "cat"], ["okapi"]])
    expected = ranked(probabilities[:, [3, 2]], ["cat", "zebra"], ["n4", "x"], 2)
    assert_answers(predictor.predict_labels(PHOTOS, labels), expected)
    assert predictor.known(labels).unknown == ["y"]
    with pytest.raises(
        ValueError, match="None of these labels is known: the softmax has the 4 that it was trained on, such as "
    ):
        predictor.predict_labels(PHOTOS, ["zebra"])


def test_conse_answers_by_what_the_softmax_says(load, directory, pixels):
    """All four labels count, fewer than ten."""
    units, raw = term_vectors(directory)
    trained = np.stack([units["snow_leopard"], units["cat"], units["dog"], unit(raw["red"] + raw["panda"])])
    logits = loaded_network(directory, "cnn")(pixels, training=False).numpy().astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    cosines = unit(probabilities @ trained) @ np.stack([units["zebra"], units["cat"]]).T
    texts = ["zebra", "cat"]
    assert_answers(load("conse").predict_labels(PHOTOS, texts), ranked(cosines, texts, texts, 2))


def test_of_equal_labels_the_first_is_the_first(load):
    """Labels that share their only term, in lists long enough for the vector units of a processor, and their ends."""
    for count in (2, 7, 130):
        ids = [f"label {number}" for number in range(count)]
        labels = LabelSet(ids, [["zebra"]] * count)
        for model in ("devise", "conse"):
            for row in load(model).predict_labels(PHOTOS, labels, k=count):
                assert [answer.id for answer in row] == ids
                assert len({answer.score for answer in row}) == 1
    for row in load("softmax").predict_labels(PHOTOS, ["ounce", "snow leopard"], k=2):
        assert [answer.label for answer in row] == ["ounce", "snow leopard"]


def test_what_is_unknown_is_named_and_what_is_repeated(load, caplog):
    texts = ["cat", "zyzzyva", "кошка", "🐱", "Cat", "cat", "zyzzyva", "polar zyzzyva", "dog"]
    predictor = load()
    answers = predictor.predict_labels(PHOTOS[0], texts, k=9)
    assert sorted(answer.label for answer in answers[0]) == ["cat", "dog"]
    found = predictor.known(texts)
    assert found.labels.ids == ["cat", "dog"]
    assert found.unknown == ["zyzzyva", "кошка", "🐱", "polar zyzzyva"]
    assert found.repeated == ["Cat", "cat", "zyzzyva"]
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage() == ("devise does not know 4 of the labels: zyzzyva, кошка, 🐱, polar zyzzyva")
    predictor.predict_labels(PHOTOS[0], texts)
    assert len(caplog.records) == 1  # for a list once
    for unknown in (["zyzzyva", "🐱"], ["🐱"], LabelSet(["n9"], [["okapi"]])):
        with pytest.raises(
            ValueError, match="None of these labels is known: neither they nor all the words of any"
        ):
            predictor.predict_labels(PHOTOS[0], unknown)
    for empty in ([], ["cat", ""], ["cat", "  "], ["cat", None]):
        with pytest.raises(ValueError, match=r"Received: labels"):
            predictor.predict_labels(PHOTOS[0], empty)
    with pytest.raises(ValueError, match="`labels` must be a list of texts or a `LabelSet`. Received: labels='cat'"):
        predictor.predict_labels(PHOTOS[0], "cat")


def test_terms_without_a_direction_are_unknown(directory, load, monkeypatch):
    predictor = Predictor(TrainedRun(directory))
    terms, vectors = predictor.run.term_vectors("devise")
    vectors[terms.index("dog")] = 0
    monkeypatch.setattr(predictor.run, "term_vectors", lambda name, labels: (terms, vectors))
    assert predictor.known(["dog", "cat", "dog cat"]).unknown == ["dog", "dog cat"]
    assert predictor.known().unknown == ["n3"]


def test_the_same_labels_cost_nothing_the_second_time(directory, monkeypatch):
    predictor, calls = devise_tf.models.load(directory), []
    make = WordSpace._table

    def counted(space, labels, answers):
        calls.append(labels.ids)
        return make(space, labels, answers)

    monkeypatch.setattr(WordSpace, "_table", counted)
    texts, label_set = ["cat", "dog"], LabelSet(["a"], [["zebra"]])
    for _ in range(3):
        for labels in (texts, list(texts), label_set, LabelSet(["a"], [["zebra"]]), None):
            predictor.predict_labels(PHOTOS[0], labels)
    assert calls == [["cat", "dog"], ["a"], list(LABELS)]
    texts.append("zebra")  # the list is another one now
    assert len(predictor.predict_labels(PHOTOS[0], texts)[0]) == 3
    assert calls[3:] == [["cat", "dog", "zebra"]]


@pytest.mark.slow
def test_a_hundred_thousand_labels(load, directory, pixels):
    _, raw = term_vectors(directory)
    numbers = np.stack(np.unravel_index(np.arange(100_000), (11,) * 5), axis=1)
    texts = [" ".join(SINGLE_WORDS[number] for number in row) for row in numbers]
    vectors = unit(np.stack([raw[term] for term in SINGLE_WORDS])[numbers].sum(axis=1))
    embeddings = unit(loaded_network(directory, "devise")(pixels, training=False).numpy())
    cosines = embeddings @ vectors.T
    answers = load().predict_labels(PHOTOS, texts, k=3)
    assert len(load().known(texts).labels) == 100_000
    place = {text: i for i, text in enumerate(texts)}
    for row, scores in zip(answers, cosines, strict=True):
        best = np.sort(scores)[::-1][:3]
        np.testing.assert_allclose([answer.score for answer in row], best, atol=1e-5)
        np.testing.assert_allclose([scores[place[answer.label]] for answer in row], best, atol=1e-5)


def test_images_of_every_kind(load, tmp_path):
    png = photo(2, (50, 41), "PNG")
    array = np.asarray(Image.open(io.BytesIO(png)))
    path = tmp_path / "a.png"
    path.write_bytes(png)
    predictor = load()
    expected = predictor.predict_labels(png)
    assert len(expected) == 1 and len(expected[0]) == 5
    kinds = [
        *(str(path), path, png, array, Image.open(path), Image.open(path).convert("RGBA")),
        *(array.astype(np.float32), array.astype(np.float64), tf.constant(array)),
        *([path], (png,), iter([array]), array[None], {path: 1}),
    ]
    for images in kinds:
        assert_answers(predictor.predict_labels(images), expected)
    mixed = predictor.predict_labels([array, png, path, Image.open(path)])
    assert_answers(mixed, 4 * expected)
    for none in ([], (), array[None][:0]):
        assert predictor.predict_labels(none) == []
        assert predictor.embed(none).shape == (0, DIMENSION) and predictor.embed(none).dtype == np.float32


def test_a_turned_photo_is_turned_back(load):
    """A camera held upright: the first row of the file is the right side."""
    upright = np.asarray(Image.open(io.BytesIO(photo(5, (30, 48)))))
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(file, "PNG", exif=exif)
    expected = load().predict_labels(upright)
    assert_answers(load().predict_labels(file.getvalue()), expected)
    assert_answers(load().predict_labels(Image.open(file)), expected)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"no image", r"^images\[1\]: it is not a JPEG"),
        (b"", r"^images\[1\]: it is empty"),
        (PHOTOS[0][:300], r"^images\[1\]: it cannot be decoded"),
        (np.zeros((4, 4), np.uint8), r"^images\[1\]: an image must be a path.*: ndarray, shape \(4, 4\), dtype=uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.int64), r"dtype=int64"),
        (None, r"Received: NoneType, shape \(\), dtype=object"),
        (np.full((4, 4, 3), 0.5), r"an image of floats must be in 0..255; multiply it by 255. Received: values 0.5 to"),
        (np.full((4, 4, 3), 256.0), r"must be in 0..255. Received: values 256 to 256"),
        (np.full((4, 4, 3), -1.0), r"must be in 0..255. Received: values -1 to -1"),
        (np.full((4, 4, 3), np.nan), r"must be in 0..255. Received: values nan to nan"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_image_is_named(load, image, message):
    for call in (load().predict_labels, load().embed):
        with pytest.raises(ValueError, match=message):
            call([PHOTOS[0], image])


def test_files_that_are_not_there(load, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.jpg"):
        load().predict_labels([PHOTOS[0], tmp_path / "nowhere.jpg"])
    with pytest.raises(ValueError, match=r"^images\[0\]: .*shape \(4, 4\)"):
        load().predict_labels(np.zeros((4, 4), np.uint8))
    assert len(load().predict_labels(np.zeros((4, 4, 3)))) == 1  # black is black
    for k in (0, -1, 2.0):
        with pytest.raises(ValueError, match=f"`k` must be an integer >= 1. Received: k={k}"):
            load().predict_labels(PHOTOS[0], k=k)


@pytest.mark.parametrize("model", ["softmax", "devise"])
def test_more_answers_than_a_tensor_counts(load, model):
    expected = load(model).predict_labels(PHOTOS, k=5)
    for k in (2**31, 10**30, np.int64(2**40)):
        assert load(model).predict_labels(PHOTOS, k=k) == expected


def test_batches_are_answered_as_single_images(load):
    images = [photo(number, (30, 26), "PNG") for number in range(67)]
    together = load().predict_labels(images, k=3)
    assert len(together) == 67
    for place in (0, 63, 64, 66):
        assert_answers(load().predict_labels(images[place], k=3), [together[place]], atol=1e-6)
    embeddings = load().embed(images)
    np.testing.assert_allclose(load().embed(images[66]), embeddings[66:], atol=1e-6)


def test_bad_images_do_not_stop_the_others(load):
    batches = list(load().prepared([PHOTOS[0], b"", *PHOTOS[1:], "nowhere"], 3, names=list("abcdefg")))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    flat = [image for batch in batches for image in batch]
    assert str(flat[1]).startswith("b: it is empty") and isinstance(flat[6], FileNotFoundError)
    good = np.stack([image for image in flat if not isinstance(image, Exception)])
    answers, embeddings = load().predict_pixels(good, k=2)
    assert_answers(answers, load().predict_labels(PHOTOS, k=2))
    np.testing.assert_allclose(embeddings, load().embed(PHOTOS), atol=1e-6)
    batches = load().prepared(PHOTOS * 100, 2)
    next(batches)
    before = threading.active_count()
    batches.close()  # reads no more
    assert threading.active_count() < before


def test_from_several_threads(load):
    predictor, found = load(), {}
    lists = [["cat", "dog"], ["zebra", "dog", "polar bear"], ["leopard"], ["the", "cat"], None]
    expected = [predictor.predict_labels(PHOTOS, labels) for labels in lists]

    def work(number):
        for turn in range(6):
            place = (number + turn) % len(lists)
            found[number, turn] = place, predictor.predict_labels(PHOTOS, lists[place])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 24
    for place, answers in found.values():
        assert_answers(answers, expected[place])


def test_models_that_a_run_has(directory, tmp_path):
    with pytest.raises(
        ValueError, match=r"`model` must be one of \['softmax', 'devise', 'means', 'profiles', 'conse'\]"
    ):
        devise_tf.models.load(directory, "random_0")
    with pytest.raises(ValueError, match="or the model directory of a run"):
        devise_tf.models.load(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="`model_dir` must be the directory of a run"):
        devise_tf.models.load(str(tmp_path))


def test_random_embeddings_know_no_words(directory, tmp_path):
    for name in os.listdir(directory):
        if os.path.isfile(f"{directory}/{name}") and name not in ("devise.keras", "cnn.keras"):
            (tmp_path / name).write_bytes(Path(directory, name).read_bytes())
    (tmp_path / "random_0.keras").write_bytes(Path(directory, "devise.keras").read_bytes())
    with pytest.raises(ValueError, match=r"`model` must be one of \['means', 'profiles'\]"):
        devise_tf.models.load(str(tmp_path), "random_0")


def test_a_preset_says_which_model_answers(directory, tmp_path):
    network = build_visual_model("resnet_tiny", 4, IMAGE_SIZE)
    sha256 = save_weights(network, tmp_path / "softmax.npz")
    LabelSet(SEEN, [LABELS[label] for label in SEEN]).save(tmp_path / "labels.txt")
    (tmp_path / "vectors.bin").write_bytes(Path(directory, "vectors.bin").read_bytes())
    facts = {"summary": "", "licence": "", "provenance": "", "image_size": IMAGE_SIZE, "resize_size": RESIZE_SIZE}
    part = {"visual_model": "resnet_tiny", "weights": "softmax.npz", "sha256": sha256}
    for model in ("conse", "softmax"):
        preset = {
            **facts,
            "model": model,
            "labels": "labels.txt",
            "vectors": "vectors.bin",
            "networks": {"softmax": part},
        }
        (tmp_path / "tiny.json").write_text(json.dumps(preset))
        predictor = devise_tf.models.load(str(tmp_path / "tiny.json"))
        assert predictor.model == model
        assert len(predictor.predict_labels(PHOTOS[0], ["cat", "dog"])[0]) == 2
    with pytest.raises(ValueError, match=r"`model` must be one of \['softmax', 'conse'\]"):
        devise_tf.models.load(str(tmp_path / "tiny.json"), "devise")


def test_importing_the_zoo_imports_no_framework():
    code = (
        "import sys, devise_tf.models as m; m.load, m.DEFAULT_PRESET; print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["softmax", "profiles"])
def test_answers_are_those_of_exports(load, directory, tmp_path, model):
    from devise_tf.export.build import ExportSettings, export_model

    path = export_model(directory, str(tmp_path / "base"), ExportSettings(model, k=4))
    signatures = tf.saved_model.load(path).signatures
    served = signatures["serving_default"](image_bytes=tf.constant(PHOTOS))
    answers = load(model).predict_labels(PHOTOS, k=4)
    assert [[a.label.encode() for a in row] for row in answers] == served["labels"].numpy().tolist()
    np.testing.assert_allclose([[a.score for a in row] for row in answers], served["scores"], atol=1e-6)
    np.testing.assert_allclose(
        load(model).embed(PHOTOS), signatures["embed_image"](image_bytes=tf.constant(PHOTOS))["embedding"], atol=1e-6
    )
    texts = ["Cat", "snow leopard", "polar bear", "red panda", "dog", "zzz", "кошка", "leopard the zebra"]
    served = signatures["classify"](image_bytes=tf.constant(PHOTOS), labels=tf.constant([texts]))
    answers = load(model).predict_labels(PHOTOS, texts, k=len(texts))
    assert 3 <= len(answers[0]) == len(texts) - len(load(model).known(texts).unknown)
    for row, labels, scores, known in zip(
        answers, *(served[n].numpy() for n in ("labels", "scores", "known")), strict=True
    ):
        assert [a.label.encode() for a in row] == labels[known].tolist()
        np.testing.assert_allclose([a.score for a in row], scores[known], atol=1e-6)


@pytest.mark.slow
def test_scores_are_those_of_evaluation(load, directory, pixels):
    from devise_tf.evaluation.measure.run_scorers import run_scorers

    run = TrainedRun(directory)
    scorers = run_scorers(run, run.labels, answers="labels")
    assert {scorer.name for scorer in scorers} == {"softmax", "devise", "conse", "means", "profiles"}
    for scorer in scorers:
        predictor = load(scorer.name)
        values = scorer.candidates(predictor.labels.ids).values
        queries = scorer.head(scorer.network(pixels)).numpy()
        scores = queries[:, values] if values.ndim == 1 else queries @ values.T
        if scorer.name == "softmax":  # which evaluation ranks by logits
            scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        names = [terms[0] for terms in predictor.labels.terms]
        expected = ranked(scores, names, predictor.labels.ids, 5)
        assert_answers(predictor.predict_labels(PHOTOS), expected, atol=1e-6)


@pytest.mark.slow
def test_the_default_preset_answers():
    predictor = devise_tf.models.load()
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    texts = ["tabby cat", "sports car", "snow leopard"]
    for model in predictor.run.preset.models():
        answers = devise_tf.models.load(devise_tf.models.DEFAULT_PRESET, model).predict_labels(image, texts)
        assert sorted(answer.label for answer in answers[0]) == sorted(texts)
