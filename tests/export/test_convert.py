"""LiteRT, int8 and ONNX files of an exported version, against the SavedModel, and through the runtimes alone."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.export import convert, converted_file
from devise_tf.export.sample_pixels import sample_pixels
from devise_tf.images import open_images
from tests.helpers.conversions import FAMILIES, embeddings, families, images, load, needs_litert, needs_onnx
from tests.helpers.tiny_model_dir import photo

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def hard_pixels(size):
    """Noise, one colour each of black, white and orange, and black but for one pixel."""
    noise = np.random.default_rng(3).uniform(0, 255, (2, size, size, 3))
    flat = [np.full((size, size, 3), colour, float) for colour in (0.0, 255.0, (255.0, 128.0, 0.0))]
    point = np.zeros((size, size, 3))
    point[size // 2, size // 2] = 255
    return np.stack([*noise, *flat, point]).astype(np.float32)


def interpreter(path):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(path))


def run_litert(path, pixels):
    """Through the oldest part of the interface, as a small device would: resize, set, run, get."""
    model = interpreter(path)
    (source,), (target,) = model.get_input_details(), model.get_output_details()
    assert source["dtype"] == target["dtype"] == np.float32
    assert source["shape_signature"].tolist() == [-1, *pixels.shape[1:]]
    model.resize_tensor_input(source["index"], pixels.shape)
    model.allocate_tensors()
    model.set_tensor(source["index"], pixels)
    model.invoke()
    return model.get_tensor(target["index"])


def run_onnx(path, pixels):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    assert (source.name, target.name) == ("pixels", "embedding")
    assert source.type == target.type == "tensor(float)"
    assert source.shape == ["batch", *pixels.shape[1:]] and target.shape[0] == "batch"
    return session.run(None, {"pixels": pixels})[0]


@pytest.mark.slow
@needs_litert
@pytest.mark.parametrize("family", families("resnet_small"))
def test_litert_embeddings_equal_the_saved_models(family, versions, converted):
    version, (path, result) = versions(family), converted(family, "litert")
    assert os.listdir(path.parent) == ["model"]
    assert result["max_difference"] < 1e-3 and result["mean_cosine"] > 0.999
    assert result["bytes"] == path.stat().st_size
    check_float32(run_litert, path, version, FAMILIES[family][1])
    model = interpreter(path)
    assert model.get_signature_list() == {"embed_pixels": {"inputs": ["pixels"], "outputs": ["embedding"]}}
    # Nothing of the strings, the tables and the images of the other signatures.
    assert {tensor["dtype"] for tensor in model.get_tensor_details()} <= {np.float32, np.int32, np.bool_}


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize("family", families("resnet_small"))
def test_onnx_embeddings_equal_the_saved_models(family, versions, converted):
    import onnx

    version, (path, result) = versions(family), converted(family, "onnx")
    assert os.listdir(path.parent) == ["model"]
    assert result["max_difference"] < 1e-3 and result["mean_cosine"] > 0.999
    assert result["bytes"] == path.stat().st_size
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
@pytest.mark.parametrize("family", families("resnet_small", "softmax"))
def test_int8_embeddings_are_close_to_the_saved_models(family, versions, converted, tmp_path):
    """A range of 255 steps R / 255 wide has an error of R / (255 sqrt 12), root mean square.

    With R up to 20 times the root mean square of what it holds, that is 20^2 / (255^2 * 12) = 0.0005 of its energy. The
    networks have up to 25 activations between pixels and embedding, each of which adds its own noise: 0.0125. Weights
    have a range for each channel, about 4 times their root mean square a side in 127 steps, which is nothing beside
    that. So the noise is up to 0.0125 of an embedding's energy, and the cosine at least 1 / sqrt(1.0125) = 0.994.
    """
    version, size = versions(family), FAMILIES[family][1]
    path, (whole, _) = tmp_path / "int8.tflite", converted(family, "litert")
    result = convert.to_litert(version, path, iter(images(size, 48)))  # whatever can be iterated over
    pixels = images(size, 40, seed=1)  # others than those that it was calibrated on
    received, expected = run_litert(path, pixels), embeddings(version, pixels)
    cosines = np.sum(received * expected, axis=1) / np.linalg.norm(received, axis=1) / np.linalg.norm(expected, axis=1)
    assert np.mean(cosines) > 0.994 and result["mean_cosine"] > 0.994
    # The part of the noise along an embedding of 8 components, or of 5: sqrt(0.0125 / 5) = 0.05, and three times that.
    np.testing.assert_allclose(np.linalg.norm(received, axis=1), np.linalg.norm(expected, axis=1), rtol=0.15)
    # A quarter of the weights' bytes, and the graph.
    assert path.stat().st_size < 0.35 * whole.stat().st_size
    kinds = {tensor["dtype"] for tensor in interpreter(path).get_tensor_details() if "onvolution" in tensor["name"]}
    assert np.int8 in kinds


@pytest.mark.slow
@needs_litert
@needs_onnx
def test_an_export_of_a_run_is_converted_and_compared(tiny_export, tmp_path):
    version = os.path.join(tiny_export, "1")
    pixels = images(24, 3)
    for write, name in ((convert.to_litert, "a.tflite"), (convert.to_onnx, "a.onnx")):
        write(version, tmp_path / name)
        results = convert.compare(tmp_path / name, version, pixels)
        assert results["max_difference"] < 1e-3 and results["mean_cosine"] > 0.999
        assert results["bytes"] == os.path.getsize(tmp_path / name)
        # By the definitions, from the embeddings themselves.
        received, expected = converted_file.load_converted(tmp_path / name)(pixels), embeddings(version, pixels)
        assert results["max_difference"] == pytest.approx(np.abs(received.astype(float) - expected).max())


@pytest.mark.slow
@needs_litert
@needs_onnx
def test_converted_files_run_without_tensorflow(versions, converted, tmp_path):
    version, pixels = versions("resnet_micro"), images(24, 2)
    for name, form in (("a", "litert"), ("b", "onnx")):
        shutil.copy(converted("resnet_micro", form)[0], tmp_path / name)
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


def test_sampled_pixels_equal_what_the_export_sees(tiny_export, tmp_path):
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
