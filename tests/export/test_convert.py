"""LiteRT, int8 and ONNX files of an exported version, against the SavedModel, and through the runtimes alone."""

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.export import convert, converted_file
from devise_tf.export.label_space import TrainedLabels, WordVectorLabels
from devise_tf.export.sample_pixels import sample_pixels
from devise_tf.export.served_model import ServedModel
from devise_tf.images import open_images
from devise_tf.models.devise import DeViSE
from devise_tf.models.visual import build_visual_model, representation_model
from tests.benchmarks import convert as benchmark
from tests.helpers.tiny_model_dir import photo

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LABELS = ["snow leopard", "cat", "dog", "red panda", "zebra"]
DIMENSION = 8


def has(*names):
    return all(importlib.util.find_spec(name) for name in names)


needs_litert = pytest.mark.skipif(not has("ai_edge_litert"), reason="ai-edge-litert is not installed")
needs_onnx = pytest.mark.skipif(not has("tf2onnx", "onnx", "onnxruntime"), reason="tf2onnx or onnxruntime is missing")
# Every builder, every preset that is small, and the other kind of model; AlexNet with fewer channels.
FAMILIES = {
    "resnet_micro": ("resnet_micro", 24, {}),
    "resnet_small": ("resnet_small", 40, {}),
    "alexnet": ("alexnet", 56, {"width": 0.1}),
    "softmax": ("resnet_micro", 24, {}),
}


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """A function from a family to the directory of a SavedModel of it, with random weights."""
    made = {}

    def make(family):
        if family not in made:
            made[family] = str(tmp_path_factory.mktemp(family) / "1")
            save_version(family, made[family])
        return made[family]

    return make


def save_version(family, directory):
    preset, size, overrides = FAMILIES[family]
    keras.utils.set_random_seed(1)
    network = build_visual_model(preset, len(LABELS), size, **overrides)
    rng = np.random.default_rng(0)
    for layer in network.layers:  # as after training: statistics and scales that are not 0 and 1
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    vectors = rng.normal(size=(len(LABELS), DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    terms = [label.replace(" ", "_") for label in LABELS]
    terms_file = f"{os.path.dirname(directory)}/terms.txt"
    if family == "softmax":
        columns = np.arange(len(LABELS))
        labels = TrainedLabels(LABELS, columns, terms, columns, len(LABELS), terms_file)
    else:
        network = DeViSE(representation_model(network), vectors)
        labels = WordVectorLabels(LABELS, vectors, terms, vectors, terms_file)
    model = ServedModel(network, labels, family == "softmax", size, size + 4, k=3)
    tf.saved_model.save(model, directory, model.signatures())


def images(size, count, seed=0):
    """Smooth pictures, which reach from dark to bright."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (count, 6, 6, 3)).astype(np.float32)
    return tf.image.resize(coarse, (size, size)).numpy()


def hard_pixels(size):
    """Noise, one colour each of black, white and orange, and black but for one pixel."""
    noise = np.random.default_rng(3).uniform(0, 255, (2, size, size, 3))
    flat = [np.full((size, size, 3), colour, float) for colour in (0.0, 255.0, (255.0, 128.0, 0.0))]
    point = np.zeros((size, size, 3))
    point[size // 2, size // 2] = 255
    return np.stack([*noise, *flat, point]).astype(np.float32)


load = functools.cache(tf.saved_model.load)


def embeddings(version, pixels):
    return load(version).signatures["embed_pixels"](pixels=tf.constant(pixels))["embedding"].numpy()


def interpreter(path):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(path))


def run_litert(path, pixels):
    """Through the oldest part of the interface, as a small device would: resize, set, run, get."""
    model = interpreter(path)
    (given,), (taken,) = model.get_input_details(), model.get_output_details()
    assert given["dtype"] == taken["dtype"] == np.float32
    assert given["shape_signature"].tolist() == [-1, *pixels.shape[1:]]
    model.resize_tensor_input(given["index"], pixels.shape)
    model.allocate_tensors()
    model.set_tensor(given["index"], pixels)
    model.invoke()
    return model.get_tensor(taken["index"])


def run_onnx(path, pixels):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,), (taken,) = session.get_inputs(), session.get_outputs()
    assert (given.name, taken.name) == ("pixels", "embedding")
    assert given.type == taken.type == "tensor(float)"
    assert given.shape == ["batch", *pixels.shape[1:]] and taken.shape[0] == "batch"
    return session.run(None, {"pixels": pixels})[0]


@pytest.mark.slow
@needs_litert
@pytest.mark.parametrize("family", FAMILIES)
def test_litert(family, versions, tmp_path):
    version, path = versions(family), tmp_path / "model.tflite"
    found = convert.to_litert(version, path)
    assert os.listdir(tmp_path) == ["model.tflite"]
    assert found["max_difference"] < 1e-3 and found["mean_cosine"] > 0.999 and found["bytes"] == path.stat().st_size
    check_float32(run_litert, path, version, FAMILIES[family][1])
    model = interpreter(path)
    assert model.get_signature_list() == {"embed_pixels": {"inputs": ["pixels"], "outputs": ["embedding"]}}
    # Nothing of the strings, the tables and the images of the other signatures.
    assert {tensor["dtype"] for tensor in model.get_tensor_details()} <= {np.float32, np.int32, np.bool_}


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize("family", FAMILIES)
def test_onnx(family, versions, tmp_path):
    import onnx

    version, path = versions(family), tmp_path / "model.onnx"
    found = convert.to_onnx(version, path)
    assert os.listdir(tmp_path) == ["model.onnx"]
    assert found["max_difference"] < 1e-3 and found["mean_cosine"] > 0.999 and found["bytes"] == path.stat().st_size
    size = FAMILIES[family][1]
    check_float32(run_onnx, path, version, size)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert run_onnx(path, np.zeros((0, size, size, 3), np.float32)).shape[0] == 0


def check_float32(run, path, version, size):
    pixels = hard_pixels(size)
    expected = embeddings(version, pixels)
    assert len(np.unique(expected.round(3), axis=0)) > 1  # else a constant would do
    np.testing.assert_allclose(run(path, pixels), expected, atol=1e-3)
    np.testing.assert_allclose(run(path, pixels[:1]), expected[:1], atol=1e-3)


@pytest.mark.slow
@needs_litert
@pytest.mark.parametrize("family", FAMILIES)
def test_int8(family, versions, tmp_path):
    """A range of 255 steps R / 255 wide has an error of R / (255 sqrt 12), root mean square.

    With R up to 20 times the root mean square of what it holds, that is 20^2 / (255^2 * 12) = 0.0005 of its energy. The
    networks have up to 25 activations between pixels and embedding, each of which adds its own noise: 0.0125. Weights
    have a range for each channel, about 4 times their root mean square a side in 127 steps, which is nothing beside
    that. So the noise is up to 0.0125 of an embedding's energy, and the cosine at least 1 / sqrt(1.0125) = 0.994.
    """
    version, size = versions(family), FAMILIES[family][1]
    path, whole = tmp_path / "int8.tflite", tmp_path / "float.tflite"
    found = convert.to_litert(version, path, iter(images(size, 48)))  # whatever can be iterated over
    convert.to_litert(version, whole)
    pixels = images(size, 40, seed=1)  # others than those that it was calibrated on
    got, expected = run_litert(path, pixels), embeddings(version, pixels)
    cosines = np.sum(got * expected, axis=1) / np.linalg.norm(got, axis=1) / np.linalg.norm(expected, axis=1)
    assert np.mean(cosines) > 0.994 and found["mean_cosine"] > 0.994
    # The part of the noise along an embedding of 8 components, or of 5: sqrt(0.0125 / 5) = 0.05, and three times that.
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), np.linalg.norm(expected, axis=1), rtol=0.15)
    # A quarter of the weights' bytes, and the graph.
    assert path.stat().st_size < 0.35 * whole.stat().st_size
    kinds = {tensor["dtype"] for tensor in interpreter(path).get_tensor_details() if "onvolution" in tensor["name"]}
    assert np.int8 in kinds


@pytest.mark.slow
@needs_litert
@needs_onnx
def test_export_of_a_run(tiny_export, tmp_path):
    version = os.path.join(tiny_export, "1")
    pixels = images(24, 3)
    for write, name in ((convert.to_litert, "a.tflite"), (convert.to_onnx, "a.onnx")):
        write(version, tmp_path / name)
        found = convert.compare(tmp_path / name, version, pixels)
        assert found["max_difference"] < 1e-3 and found["mean_cosine"] > 0.999
        assert found["bytes"] == os.path.getsize(tmp_path / name)
        # By the definitions, from the embeddings themselves.
        got, expected = converted_file.load_converted(tmp_path / name)(pixels), embeddings(version, pixels)
        assert found["max_difference"] == pytest.approx(np.abs(got.astype(float) - expected).max())


@pytest.mark.slow
@needs_litert
@needs_onnx
def test_a_device_needs_no_tensorflow(versions, tmp_path):
    version, pixels = versions("resnet_micro"), images(24, 2)
    convert.to_litert(version, tmp_path / "a")
    convert.to_onnx(version, tmp_path / "b")
    np.save(tmp_path / "pixels.npy", pixels)
    program = (
        "import sys, numpy as np\n"
        "for name in ('tensorflow', 'keras', 'tf2onnx', 'onnx'): sys.modules[name] = None\n"
        "from devise_tf.export.converted_file import load_converted\n"
        "pixels = np.load('pixels.npy')\n"
        "for name in 'ab': np.save(name + '.npy', load_converted(name, threads=1)(pixels))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=60)
    for name in "ab":
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), embeddings(version, pixels), atol=1e-3)


@needs_litert
@needs_onnx
@pytest.mark.parametrize("write", [convert.to_litert, convert.to_onnx])
@pytest.mark.parametrize("wrong", [2e-3, np.nan])
def test_what_differs_does_not_appear(write, wrong, versions, tmp_path, monkeypatch):
    """And what was there before stays."""
    version, path = versions("resnet_micro"), tmp_path / "model"

    def load_wrong(path):
        def run(pixels):
            found = embeddings(version, pixels)
            if len(pixels) > 1:  # right for one image, wrong in the last of a batch
                found[-1, 3] += wrong
            return found

        return run

    monkeypatch.setattr(convert, "load_converted", load_wrong)
    path.write_text("before")
    with pytest.raises(ValueError, match=r"differ by more than 0.001. Received: (0.002|nan) in a batch of 5"):
        write(version, path)
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["model"]


@needs_litert
def test_int8_that_loses_too_much_does_not_appear(versions, tmp_path, monkeypatch):
    version = versions("resnet_micro")
    # A cosine of 0.9: an embedding, and 0.4843 = tan(acos 0.9) of its length at right angles.
    turned = np.zeros((8, 8), np.float32)
    turned[range(0, 8, 2), range(1, 8, 2)], turned[range(1, 8, 2), range(0, 8, 2)] = 0.4843, -0.4843
    monkeypatch.setattr(
        convert, "load_converted", lambda path: lambda pixels: embeddings(version, pixels) @ (np.eye(8) + turned)
    )
    with pytest.raises(ValueError, match=r"below 0.95.*Received: 0.900 over 6 images"):
        convert.to_litert(version, tmp_path / "model", images(24, 6))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "write, lost",
    [(convert.to_litert, "ai_edge_litert"), (convert.to_onnx, "tf2onnx"), (convert.to_onnx, "onnxruntime")],
)
def test_missing_packages(write, lost, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == lost else found("json"))
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'devise_tf\[convert\]'. Received: no {lost}"):
        write("no such version", tmp_path / "model")
    assert os.listdir(tmp_path) == []


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def overwrite(path):
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(b"\xff not what was here before")


DAMAGE = {
    "gone": lambda version: shutil.rmtree(version),
    "empty": lambda version: (shutil.rmtree(version), os.mkdir(version)),
    "graph cut": lambda version: cut(f"{version}/saved_model.pb"),
    "graph changed": lambda version: overwrite(f"{version}/saved_model.pb"),
    "no variables": lambda version: shutil.rmtree(f"{version}/variables"),
    "index cut": lambda version: cut(f"{version}/variables/variables.index"),
    "variables cut": lambda version: cut(f"{version}/variables/variables.data-00000-of-00001"),
    "variables changed": lambda version: overwrite(f"{version}/variables/variables.data-00000-of-00001"),
}


@needs_onnx
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_version(damage, versions, tmp_path):
    version = str(tmp_path / "1")
    shutil.copytree(versions("resnet_micro"), version)
    DAMAGE[damage](version)
    with pytest.raises(ValueError, match=f"no exported version, or it is damaged. Received: {version}: ."):
        convert.to_onnx(version, tmp_path / "model")
    assert not os.path.exists(tmp_path / "model")


class OtherModel(tf.Module):
    """Another function under the right names."""

    def __init__(self, function):
        super().__init__()
        spec = tf.TensorSpec([None, 4, 4, 3], tf.float32, name="pixels")
        self.embed = tf.function(lambda pixels: function(tf.reduce_mean(pixels, [1, 2])), [spec])
        self.signature = tf.function(lambda pixels: {"embedding": self.embed(pixels)}, [spec])

    def save(self, directory, name="embed_pixels"):
        tf.saved_model.save(self, directory, {name: self.signature})
        return directory


@needs_onnx
def test_other_saved_model(tmp_path):
    other = OtherModel(tf.identity).save(str(tmp_path / "1"), "serve")
    with pytest.raises(ValueError, match=r"must have a signature `embed_pixels`.*with the signatures \['serve'\]"):
        convert.to_onnx(other, tmp_path / "model")


@needs_litert
@needs_onnx
@pytest.mark.parametrize(
    "write, function, message",
    [
        (convert.to_litert, lambda values: tf.linalg.qr(values[:, None])[1][:, 0], "cannot run this model.*Qr"),
        (convert.to_onnx, lambda values: tf.linalg.qr(values[:, None])[1][:, 0], "cannot run this model.*Qr"),
        (convert.to_onnx, tf.math.lgamma, "cannot run this model.*Lgamma"),
        # The converter takes it, and makes an empty tensor of it.
        (convert.to_litert, tf.math.lgamma, r"should have the shape \(1, 3\). Received: \(0, 3\)"),
    ],
)
def test_what_cannot_be_converted(write, function, message, tmp_path, capfd):
    other = OtherModel(function).save(str(tmp_path / "1"))
    with pytest.raises(ValueError, match=message):
        write(other, tmp_path / "model")
    assert os.listdir(tmp_path) == ["1"]
    capfd.readouterr()  # the converters write their own errors too


@needs_litert
@pytest.mark.parametrize(
    "pixels, message",
    [
        ([], "hundred or more. Received: none"),
        ([np.zeros((24, 24, 3)), np.zeros((1, 24, 24, 3))], r"number 1 of shape \(1, 24, 24, 3\)"),
        ([np.zeros((25, 24, 3))], r"shape \(25, 24, 3\)"),
        ([np.full((24, 24, 3), -0.1)], "-0.1 to -0.1"),
        ([np.full((24, 24, 3), 255.5)], "255.5"),
        ([np.full((24, 24, 3), np.nan)], "nan"),
        ([np.full((24, 24, 3), "a")], "number 0"),
    ],
)
def test_bad_representative_images(pixels, message, versions, tmp_path):
    with pytest.raises(ValueError, match=message):
        convert.to_litert(versions("resnet_micro"), tmp_path / "model", pixels)
    assert os.listdir(tmp_path) == []


@needs_litert
@needs_onnx
def test_files_that_are_none(versions, tmp_path):
    with pytest.raises(FileNotFoundError):
        converted_file.load_converted(tmp_path / "model")
    for content in (b"", b"\x08\x08garbage", b"\x1c\0\0\0TFL3 and no more"):
        (tmp_path / "model").write_bytes(content)
        with pytest.raises(ValueError, match="no LiteRT or ONNX file, or it is damaged. Received: .*model"):
            converted_file.load_converted(tmp_path / "model")
    version = versions("resnet_micro")
    for shape in ((24, 24, 3), (0, 24, 24, 3), (2, 25, 25, 3)):
        with pytest.raises(ValueError, match=r"the shape \[N >= 1, 24, 24, 3\]. Received: \("):
            convert.compare(tmp_path / "model", version, np.zeros(shape))


def test_sampled_pixels_are_those_of_the_export(tiny_export, tmp_path):
    """Their embeddings are those that the version makes of their bytes."""
    version = os.path.join(tiny_export, "1")
    encoded = {}
    for number in range(8):
        path = tmp_path / "images" / "val" / f"n{number // 4}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded[number] = photo(number, size=(60, 35 + number))
        path.write_bytes(encoded[number])
    source = open_images(f"folder:{tmp_path}/images", "val")
    ((pixels, labels),) = sample_pixels(source, 0, version)
    assert labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    expected = load(version).signatures["embed_image"](image_bytes=tf.constant(list(encoded.values())))["embedding"]
    np.testing.assert_allclose(embeddings(version, pixels), expected, atol=1e-5)
    # Evenly: of 0 to 7 the places 0, 7/3, 14/3 and 7, rounded.
    ((some, _),) = sample_pixels(source, 4, version)
    np.testing.assert_array_equal(some, pixels[[0, 2, 5, 7]])


def test_measures_of_the_benchmark():
    """Two labels on the axes: the second model turns the first of two images from one label to the other."""
    matrix = np.eye(2, dtype=np.float32)
    first = np.array([[0.8, 0.6], [0.0, 1.0]], np.float32)
    second = np.array([[0.6, 0.8], [0.0, 1.0]], np.float32)
    models = {"first": lambda pixels: first[pixels], "second": lambda pixels: second[pixels]}
    batches = [(np.array([0]), np.array([0])), (np.array([1]), np.array([1]))]
    found = benchmark.measure(models, batches, matrix)
    assert found["first"] == pytest.approx(
        {"max_difference": 0.0, "mean_cosine": 1.0, "least_cosine": 1.0, "same_label": 1.0, "hit@1": 1.0}
    )
    # The cosine of the first image: 0.8 * 0.6 + 0.6 * 0.8 = 0.96.
    assert found["second"] == pytest.approx(
        {"max_difference": 0.2, "mean_cosine": 0.98, "least_cosine": 0.96, "same_label": 0.5, "hit@1": 0.5}
    )


def test_models_are_timed_in_turns():
    calls = []
    models = {name: lambda pixels, name=name: calls.append((name, pixels.shape)) for name in "ab"}
    times = benchmark.milliseconds(models, [np.zeros((4, 4, 3))], rounds=2)
    assert [name for name, _ in calls] == ["a", "b", "a", "b", "b", "a"]
    assert {shape for _, shape in calls} == {(1, 4, 4, 3)}
    assert [len(times[name]) for name in "ab"] == [2, 2]


def run_benchmark(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "tests.benchmarks.convert", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@needs_litert
@needs_onnx
def test_benchmark(tiny_export, tmp_path):
    for seed, (split, count) in enumerate((("train", 6), ("val", 3))):
        for label in ("n1", "n3", "n5", "n9"):  # the export does not answer the last
            folder = tmp_path / "images" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number}.jpg").write_bytes(photo(seed=100 * seed + 10 * int(label[1]) + number))
    output = tmp_path / "result.json"
    found = run_benchmark(
        *(f"--export_dir={tiny_export}", f"--images=folder:{tmp_path}/images", "--calibration=20", "--timed=2"),
        *("--rounds=2", "--threads=2", f"--output={output}"),
    )
    assert found.returncode == 0, found.stderr
    assert "9 images of" in found.stdout and "5 labels, int8 calibrated on 20 images" in found.stdout
    results = json.loads(output.read_text())["results"]
    assert list(results) == ["SavedModel", "LiteRT", "LiteRT int8", "ONNX"]
    for name in ("LiteRT", "ONNX"):
        assert results[name]["max_difference"] < 1e-3 and results[name]["same_label"] == 1
        assert results[name]["hit@1"] == results["SavedModel"]["hit@1"]
    assert results["LiteRT int8"]["mean_cosine"] > 0.95
    assert results["LiteRT int8"]["bytes"] < 0.7 * results["LiteRT"]["bytes"]
    assert all(len(result["milliseconds"]) == 2 and min(result["milliseconds"]) > 0 for result in results.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--images=builtin"], "`export_dir` must be given"),
        (["--export_dir=nowhere"], "`images` must be given"),
    ],
)
def test_bad_flags_of_the_benchmark(arguments, message):
    found = run_benchmark(*arguments)
    assert found.returncode == 1 and message in found.stderr and "Traceback" not in found.stderr
