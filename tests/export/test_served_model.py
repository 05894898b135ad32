"""The six signatures against the evaluation path, written here from its parts."""

import concurrent.futures

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.export.build import ExportSettings, export_model
from devise_tf.export.label_graph import MAX_REQUEST_LABELS, VectorGraph
from devise_tf.export.served_model import Batching, ServedModel
from devise_tf.images import Crop
from devise_tf.images.decode_image import decode_image, resize_and_crop
from devise_tf.labels import LabelSet, WordSpace
from devise_tf.text import load_vectors
from tests.helpers.predictions import PHOTOS, unit
from tests.helpers.tiny_model_dir import DIMENSION, IMAGE_SIZE, LABELS, RESIZE_SIZE, TERMS, photo


@pytest.fixture(scope="module")
def served(tiny_export):
    return tf.saved_model.load(f"{tiny_export}/1").signatures


@pytest.fixture(scope="module")
def softmax(softmax_export):
    return tf.saved_model.load(f"{softmax_export}/1").signatures


def call(served, signature, **inputs):
    tensors = {name: value if tf.is_tensor(value) else tf.constant(value) for name, value in inputs.items()}
    return {name: value.numpy() for name, value in served[signature](**tensors).items()}


def pixels(images):
    return np.stack([resize_and_crop(decode_image(image), IMAGE_SIZE, RESIZE_SIZE) for image in images])


@pytest.fixture(scope="module")
def evaluated(tiny_model_dir):
    """What the evaluation path gives: embeddings of the photos, and the labels' vectors."""
    model = keras.models.load_model(f"{tiny_model_dir}/devise.keras", compile=False)
    labels = LabelSet(list(LABELS), list(LABELS.values()))
    vectors = WordSpace(*load_vectors(f"{tiny_model_dir}/vectors.bin")).table(labels).values
    return model(pixels(PHOTOS), training=False).numpy(), vectors


def test_embeddings_equal_those_of_evaluation(served, evaluated):
    embeddings, _ = evaluated
    image = call(served, "embed_image", image_bytes=PHOTOS)
    np.testing.assert_allclose(image["embedding"] * image["norm"][:, None], embeddings, atol=1e-5)
    np.testing.assert_allclose(image["embedding"], unit(embeddings), atol=1e-5)
    np.testing.assert_allclose(
        call(served, "embed_pixels", pixels=pixels(PHOTOS))["embedding"], unit(embeddings), atol=1e-5
    )


def test_answers_equal_the_best_labels_of_evaluation(served, evaluated):
    embeddings, vectors = evaluated
    scores = unit(embeddings) @ vectors.T
    order = np.argsort(-scores, axis=1)[:, :3]
    names = np.array([terms[0].encode() for terms in LABELS.values()], object)
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={"image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))}
            )
        ).SerializeToString()
        for image in PHOTOS
    ]
    answers = call(served, "serving_default", image_bytes=PHOTOS)
    classes = call(served, "classify_examples", inputs=examples)
    for actual in (answers["labels"], classes["classes"]):
        assert actual.tolist() == names[order].tolist()
    for actual in (answers["scores"], classes["scores"]):
        np.testing.assert_allclose(actual, np.take_along_axis(scores, order, 1), atol=1e-5)


def test_label_lists_are_scored_row_by_row(served, evaluated):
    embeddings, vectors = evaluated
    requested = [["cat", "zzz", "Snow Leopard"], ["red panda", "dog", "ångström zzz"]]
    result = call(served, "classify", image_bytes=PHOTOS[:2], labels=requested)
    cosines = unit(embeddings[:2]) @ vectors.T
    for row, known in ((0, {"cat": cosines[0, 1], "Snow Leopard": cosines[0, 0]}),
                       (1, {"red panda": cosines[1, 3], "dog": cosines[1, 2]})):  # fmt: skip
        best = sorted(known, key=known.get, reverse=True)
        labels = [label.decode() for label in result["labels"][row]]
        assert labels[:2] == best
        assert [requested[row][i] for i in result["indices"][row]] == labels
        np.testing.assert_allclose(result["scores"][row], [known[label] for label in best] + [-1.0], atol=1e-5)
        assert result["known"][row].tolist() == [True, True, False]


def test_label_vectors_equal_those_of_training(served, tiny_model_dir):
    terms, vectors = load_vectors(f"{tiny_model_dir}/vectors.bin")
    assert terms == TERMS
    result = call(served, "embed_label", labels=["CAFÉ", "polar bear", "polar zebu"])
    expected = np.stack([vectors[10], vectors[8] + vectors[9]])
    np.testing.assert_allclose(result["embedding"][:2], unit(expected), atol=1e-6)
    assert not result["embedding"][2].any()
    assert (result["known_tokens"].tolist(), result["num_tokens"].tolist()) == ([1, 2, 1], [1, 2, 2])


def test_a_softmax_answers_probabilities(softmax, tiny_model_dir):
    model = keras.models.load_model(f"{tiny_model_dir}/cnn.keras", compile=False)
    logits = model(pixels(PHOTOS), training=False).numpy().astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(call(softmax, "embed_image", image_bytes=PHOTOS)["embedding"], expected, atol=1e-5)
    answers = call(softmax, "serving_default", image_bytes=PHOTOS)
    order = np.argsort(-expected, axis=1)[:, :3]
    np.testing.assert_allclose(answers["scores"], np.take_along_axis(expected, order, 1), atol=1e-5)
    names = np.array([b"snow leopard", b"cat", b"dog", b"red panda"], object)  # zebra was not trained
    assert answers["labels"].tolist() == names[order].tolist()
    result = call(softmax, "classify", image_bytes=PHOTOS[:1], labels=[["zebra", "ounce"]])
    assert result["labels"].tolist() == [[b"ounce", b"zebra"]]
    np.testing.assert_allclose(result["scores"], [[expected[0, 0], -1.0]], atol=1e-5)


@pytest.mark.parametrize("model", ["served", "softmax"])
def test_any_number_of_images_and_labels(model, request):
    served = request.getfixturevalue(model)
    width = DIMENSION if model == "served" else 4
    for n in (0, 1, 5):
        images = tf.constant(PHOTOS[:n], tf.string)
        answers = call(served, "serving_default", image_bytes=images)
        assert answers["labels"].shape == answers["scores"].shape == (n, 3)
        assert call(served, "embed_image", image_bytes=images)["embedding"].shape == (n, width)
        assert call(served, "embed_label", labels=tf.fill([n], "cat"))["embedding"].shape == (n, width)
        assert call(served, "embed_pixels", pixels=tf.zeros([n, IMAGE_SIZE, IMAGE_SIZE, 3]))["embedding"].shape == (
            n,
            width,
        )
        assert call(served, "classify_examples", inputs=tf.constant([], tf.string))["classes"].shape == (0, 3)
        for m in (0, 1, 7):
            for rows in {1, n}:
                result = call(served, "classify", image_bytes=images, labels=tf.fill([rows, m], "cat"))
                assert all(value.shape == (n, m) for value in result.values())


def test_requests_of_one_batch_do_not_mix(served):
    """f(concat(a, b)) = concat(f(a), f(b)), for every signature."""
    lists = [["cat", "dog"], ["zebra", "no"], ["red panda", "leopard"], ["dog", "dog"], ["the", "polar bear"]]
    examples = [tf.train.Example(features=tf.train.Features(feature={"image/encoded": tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[image]))})).SerializeToString() for image in PHOTOS]  # fmt: skip
    inputs = {
        "serving_default": {"image_bytes": PHOTOS},
        "embed_image": {"image_bytes": PHOTOS},
        "embed_label": {"labels": ["cat", "red panda", "?", "dog", "polar leopard"]},
        "classify": {"image_bytes": PHOTOS, "labels": lists},
        "embed_pixels": {"pixels": pixels(PHOTOS)},
        "classify_examples": {"inputs": examples},
    }
    for signature, whole in inputs.items():
        together = call(served, signature, **whole)
        for split in (1, 2, 4):
            parts = [
                call(served, signature, **{n: v[part] for n, v in whole.items()})
                for part in (slice(split), slice(split, None))
            ]
            for name, value in together.items():
                joined = np.concatenate([part[name] for part in parts])
                if value.dtype.kind == "f":
                    np.testing.assert_allclose(joined, value, atol=1e-6)
                else:
                    assert joined.tolist() == value.tolist()


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (b"", "not a JPEG"),
        (b"no image", "not a JPEG"),
        (PHOTOS[0][:30], "."),
        (b"\xff\xd8\xff" + bytes(100), "."),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + bytes(50), "pixels"),
    ],
    ids=["empty", "text", "truncated", "corrupt", "60000 squared"],
)
def test_bad_image_is_an_invalid_argument(served, image, problem):
    with pytest.raises(tf.errors.InvalidArgumentError, match=problem):
        call(served, "serving_default", image_bytes=[PHOTOS[0], image])


@pytest.mark.parametrize("form", ["GIF", "BMP"])
def test_gif_and_bmp_are_answered(served, form):
    image = photo(5, form=form)
    expected = call(served, "embed_pixels", pixels=pixels([image]))["embedding"]
    np.testing.assert_allclose(call(served, "embed_image", image_bytes=[image])["embedding"], expected, atol=1e-5)


def test_label_lists_of_wrong_length_are_refused(served):
    with pytest.raises(tf.errors.InvalidArgumentError, match="one row an image"):
        call(served, "classify", image_bytes=PHOTOS[:2], labels=tf.fill([3, 1], "cat"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 16384 labels"):
        call(served, "classify", image_bytes=PHOTOS[:1], labels=tf.fill([1, MAX_REQUEST_LABELS + 1], "cat"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 16384 labels"):
        call(served, "embed_label", labels=tf.fill([MAX_REQUEST_LABELS + 1], "cat"))


def test_requests_above_the_limits_are_refused(served):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 65536 words"):
        call(served, "embed_label", labels=["cat " * 65_537])
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 1048576 scores"):
        call(served, "classify", image_bytes=PHOTOS[:1] * 65, labels=tf.fill([1, 16_384], "cat"))
    limit = 2**26 // (12 * IMAGE_SIZE**2)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"at most {limit} images"):
        call(served, "serving_default", image_bytes=[b""] * (limit + 1))


def test_unknown_labels_come_after_the_worst_known_one(tmp_path):
    keras.utils.set_random_seed(0)
    pixels_in = keras.Input((4, 4, 3), name="pixels")
    network = keras.Model(pixels_in, keras.layers.Dense(2, use_bias=False)(keras.layers.Flatten()(pixels_in)))
    image = photo(7)
    outputs = network(np.stack([resize_and_crop(decode_image(image), 4, 4)])).numpy()
    opposite = (-outputs).astype(np.float32)
    labels = VectorGraph(["cat"], unit(opposite), WordSpace(["cat"], opposite), str(tmp_path / "terms.txt"))
    model = ServedModel(network, labels, Crop(4, 4))
    result = model.signatures()["classify"](tf.constant([image]), tf.constant([["zzz", "cat", "zzz"]]))
    assert result["labels"].numpy().tolist() == [[b"cat", b"zzz", b"zzz"]]
    assert result["known"].numpy().tolist() == [[True, False, False]]
    np.testing.assert_allclose(result["scores"], [[-1.0, -1.0, -1.0]], atol=1e-6)


def test_in_graph_batching_gives_every_request_its_own_answer(tiny_model_dir, served, tmp_path):
    settings = ExportSettings(k=3, batching=Batching(max_batch_size=4, timeout_micros=20_000))
    batched = tf.saved_model.load(export_model(tiny_model_dir, str(tmp_path / "base"), settings)).signatures
    requests = [
        (PHOTOS[i % 5 : i % 5 + 1 + i % 3], [["cat", "dog", "zebra", "leopard"][: 1 + i % 4]]) for i in range(24)
    ]
    requests[7] = ([b"no image"], [["cat"]])

    def ask(request):
        try:
            return call(batched, "classify", image_bytes=request[0], labels=request[1])
        except tf.errors.InvalidArgumentError:
            return None

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, requests))
    assert [i for i, answer in enumerate(answers) if answer is None] == [7]
    for (images, labels), answer in zip(requests, answers, strict=True):
        if answer is not None:
            alone = call(served, "classify", image_bytes=images, labels=labels)
            assert answer["labels"].tolist() == alone["labels"].tolist()
            np.testing.assert_allclose(answer["scores"], alone["scores"], atol=1e-5)
    # More images than a batch holds, and none.
    many = call(batched, "serving_default", image_bytes=PHOTOS * 3)
    np.testing.assert_allclose(
        many["scores"], call(served, "serving_default", image_bytes=PHOTOS * 3)["scores"], atol=1e-5
    )
    assert call(batched, "serving_default", image_bytes=tf.constant([], tf.string))["scores"].shape == (0, 3)


@pytest.mark.parametrize(
    "arguments", [{"max_batch_size": 0}, {"max_batch_size": 5000}, {"timeout_micros": -1}, {"threads": 0}]
)
def test_batching_settings_out_of_range_raise_an_error(arguments):
    with pytest.raises(ValueError, match="at least"):
        Batching(**arguments)
