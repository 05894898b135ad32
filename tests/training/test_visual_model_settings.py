"""Runs with pretrained weights, frozen layers and other precisions."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.config import FREE, Config
from devise_tf.model_dir import ModelDir
from devise_tf.models.registry import build_visual_model, representation_model
from devise_tf.training import make_strategy, train
from devise_tf.training.phases.devise import times_gradient
from devise_tf.training.phases.image_batches import LOSS_SCALE
from tests.helpers import tiny_run
from tests.helpers.tiny_run import SEEN, UNSEEN, read_metrics, settings
from tests.helpers.visual_weights import give_values, save_model, weights_of


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return tiny_run.make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """A file of vectors for the labels, in place of phase 1."""
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    rows = np.random.default_rng(0).normal(size=(6, 5)).round(3)
    lines = [" ".join([label, *map(str, row)]) for label, row in zip([*SEEN, *UNSEEN], rows, strict=True)]
    path.write_text("6 5\n" + "\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """Weights of `resnet_tiny` for as many labels as the run has, and for more."""
    directory = tmp_path_factory.mktemp("weights")
    return {
        count: save_model(give_values(build_visual_model("resnet_tiny", count, 16)), str(directory / f"{count}.npz"))
        for count in (len(SEEN), 9)
    }


def loaded(model_dir, name):
    return keras.models.load_model(os.path.join(model_dir, f"{name}.keras"), compile=False)


def changed(model, others):
    """Paths of the weights that are not as in `others`; in DeViSE those of the visual model."""
    return {path for path, value in weights_of(model).items() if not np.array_equal(value, others[path])}


def test_softmax_of_the_file_is_used_without_training(inputs, weights_file, tmp_path, capsys):
    """Phase 2 writes the network without a step."""
    config = settings(inputs, tmp_path / "run", phase="cnn", visual_weights=weights_file[5], cnn_epochs=0.0)
    tiny_run.start_run(config)
    assert f"Weights: {weights_file[5]}; softmax: kept" in capsys.readouterr().out
    assert not os.path.exists(tmp_path / "run" / "metrics.jsonl")
    expected = weights_of(give_values(build_visual_model("resnet_tiny", 5, 16)))
    assert not changed(loaded(config["model_dir"], "cnn"), expected)


@pytest.mark.slow
def test_phase_3_starts_from_the_softmax_of_the_file(inputs, vectors, weights_file, tmp_path):
    changes = {"corpus": "", "vectors": vectors, "visual_weights": weights_file[5], "cnn_epochs": 0.0}
    config = settings(inputs, tmp_path / "run", **changes, random_models=0, finetune_epochs=0.0)
    assert "Seen labels" in tiny_run.start_run(config)
    assert {line["phase"] for line in read_metrics(config["model_dir"])} == {"devise_projection"}
    expected = weights_of(give_values(build_visual_model("resnet_tiny", 5, 16)))
    assert not changed(loaded(config["model_dir"], "devise").visual_model, expected)


def test_softmax_for_other_labels_must_be_trained(inputs, weights_file, tmp_path):
    config = settings(inputs, tmp_path / "run", phase="cnn", visual_weights=weights_file[9], cnn_epochs=0.0)
    with pytest.raises(ValueError, match="must be for the run's 5 seen labels, but it is for 9: .*cnn_epochs=0"):
        tiny_run.start_run(config)
    assert not os.path.exists(tmp_path / "run" / "flags.txt")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"visual_weights": "imagenet"}, "No ImageNet weights come with `resnet_tiny`"),
        ({"visual_weights": "none.npz"}, "No such file.*none.npz"),
        ({"frozen_layers": "stage1_block_add"}, "`frozen_layers` must be .*Did you mean 'stage1_block1_add'"),
        ({"visual_model": "keras_applications/Xceptoin"}, "Did you mean 'Xception'"),
    ],
)
def test_nothing_is_written_before_an_error(changes, error, inputs, tmp_path):
    with pytest.raises((ValueError, OSError), match=error) as raised:
        tiny_run.start_run(settings(inputs, tmp_path / "run", phase="cnn", **changes))
    assert "\n" not in str(raised.value)
    assert not os.path.exists(tmp_path / "run" / "flags.txt")


@pytest.mark.slow
@pytest.mark.parametrize("last", ["stage1_block1_add", pytest.param("all", marks=pytest.mark.soak)])
def test_frozen_layers_stay_through_all_phases(last, inputs, vectors, weights_file, tmp_path, capsys):
    """Statistics of batch normalization among them, in mixed precision; the softmax is new, as the file has others."""
    changes = {"corpus": "", "vectors": vectors, "visual_weights": weights_file[9], "frozen_layers": last}
    config = settings(inputs, tmp_path / "run", **changes, dtype="mixed_bfloat16", random_models=0)
    tiny_run.start_run(config)
    assert "softmax: new, since theirs is for 9 labels" in capsys.readouterr().out
    given = weights_of(give_values(build_visual_model("resnet_tiny", 9, 16)))
    names = [path for path in given if not path.startswith("logits/")]
    below = {path for path in names if last == "all" or path.startswith(("stem", "stage1"))}
    cnn, projected, finetuned = (loaded(config["model_dir"], name) for name in ("cnn", "devise_projection", "devise"))
    assert_dtypes(cnn, finetuned, "mixed_bfloat16")
    assert changed(representation_model(cnn), given) == set(names) - below
    assert not changed(projected.visual_model, weights_of(cnn))
    further = changed(finetuned.visual_model, weights_of(cnn))
    assert further == {path for path in set(names) - below if "normalization" not in path}
    assert not np.array_equal(finetuned.projection.kernel, projected.projection.kernel)


def assert_dtypes(cnn, devise, dtype):
    """What is not the visual model is float32."""
    for model in (cnn, devise.visual_model):
        assert model.get_layer("stem_convolution").dtype_policy.name == dtype
    assert cnn.get_layer("logits").dtype_policy.name == devise.projection.dtype_policy.name == "float32"
    assert devise.label_vectors.dtype == "float32"


def precise(dtype, inputs, vectors, directory, **changes):
    """Runs phases 2 and 3; returns the losses."""
    run = settings({**inputs, "corpus": ""}, directory, vectors=vectors, dtype=dtype, random_models=0, **changes)
    assert "Seen labels" in tiny_run.start_run(run)
    return [line["loss"] for line in read_metrics(directory)]


@pytest.fixture(scope="module")
def in_float32(inputs, vectors, tmp_path_factory):
    return precise("float32", inputs, vectors, tmp_path_factory.mktemp("float32") / "run")


@pytest.mark.soak
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
def test_losses_of_every_dtype_are_near_those_of_float32(dtype, inputs, vectors, in_float32, tmp_path):
    if dtype == "float16":
        losses = precise(dtype, inputs, vectors, tmp_path / "run", frozen_layers="all")
        assert np.mean(losses[-6:]) < 0.5 * np.mean(losses[8:11])  # of phase 3
    else:
        losses = precise(dtype, inputs, vectors, tmp_path / "run")
        assert np.mean(np.abs(np.subtract(losses, in_float32))) < 0.05
    assert_dtypes(loaded(tmp_path / "run", "cnn"), loaded(tmp_path / "run", "devise"), dtype)


def test_gradients_in_half_precision_are_scaled_and_scaled_back():
    """A gradient that float16 cannot hold: with the scale it arrives, of its own size."""
    small = 2.0**-28
    x = tf.ones([4, 3], tf.float16)
    kernel = tf.Variable(tf.ones([3, 2]))
    for factor, expected in ((1.0, 0.0), (LOSS_SCALE, 4 * small)):
        with tf.GradientTape() as tape:
            features = tf.cast(x @ tf.cast(kernel, tf.float16), tf.float32)
            total = tf.reduce_sum(times_gradient(features, factor)) * small
        optimizer = keras.optimizers.SGD(1.0, loss_scale_factor=factor)
        variable = keras.Variable(np.zeros((3, 2)), dtype="float32")
        optimizer.apply([tape.gradient(total, kernel)], [variable])
        np.testing.assert_allclose(-variable.numpy(), expected, rtol=1e-3)


@pytest.mark.soak
def test_killed_run_resumes_with_frozen_layers(inputs, vectors, weights_file, tmp_path, monkeypatch):
    changes = {
        "corpus": "",
        "vectors": vectors,
        "visual_weights": weights_file[9],
        "frozen_layers": "stage1_block1_add",
        "dtype": "mixed_float16",
        "random_models": 0,
    }
    expected = settings(inputs, tmp_path / "expected", **changes)
    tiny_run.start_run(expected)
    config = settings(inputs, tmp_path / "run", **changes)
    for kill in (("cnn", 4, "before"), ("devise", 3, "after")):
        tiny_run.killed_run(config, kill, monkeypatch)
    tiny_run.start_run(config)
    assert read_metrics(config["model_dir"]) == read_metrics(expected["model_dir"])
    for name in ("cnn", "devise"):
        first, second = (loaded(c["model_dir"], name).get_weights() for c in (expected, config))
        assert all(map(np.array_equal, first, second))


def test_model_directories_without_later_flags_are_resumed(tmp_path):
    """Their `flags.txt` knows nothing of what came later; what is set of that must be there to go on with it."""
    config = settings({"corpus": "text.txt", "images": "folder:photos"}, tmp_path)
    later = {"frozen_layers": "all", "dtype": "bfloat16", "visual_weights": "a.npz"}
    for name, value in later.items():
        old, new = ModelDir(str(tmp_path / "old" / name)), ModelDir(str(tmp_path / "new" / name))
        for _ in range(2):
            old.bind_flags(Config(**config).bound(), FREE)
            new.bind_flags(Config(**config, **{name: value}).bound(), FREE)
        text = (tmp_path / "old" / name / "flags.txt").read_text(encoding="utf-8")
        assert not any(added in text for added in later)
        with pytest.raises(ValueError, match=f"other flags: --{name} not set .now --{name}={value}"):
            old.bind_flags(Config(**config, **{name: value}).bound(), FREE)
        with pytest.raises(ValueError, match=f"other flags: --{name}={value} .now not set"):
            new.bind_flags(Config(**config).bound(), FREE)


@pytest.mark.soak
def test_application_is_trained_and_resumed_on_the_built_in_set(tmp_path):
    """Frozen and in bfloat16; interrupted in phase 2 and in phase 3, it goes on from where it was."""
    changes = {
        "corpus": "builtin",
        "images": "builtin",
        "skip_gram_epochs": 0.02,
        "visual_model": "keras_applications/MobileNetV3Small",
        "frozen_layers": "all",
        "dtype": "mixed_bfloat16",
        "image_size": 40,
        "resize_size": 48,
        "cnn_epochs": 0.01,
        "projection_epochs": 0.01,
        "finetune_epochs": 0.01,
        "random_models": 0,
    }
    config = settings({}, tmp_path / "run", **changes)
    tiny_run.start_run({**config, "phase": "skip_gram"})
    config["phase"] = "cnn"
    for phase in ("cnn", "devise"):
        config["phase"] = phase
        with pytest.raises(KeyboardInterrupt):
            train(Config(**config), make_strategy(), [tiny_run.Interrupt(3)])
        tiny_run.start_run(config)
    steps = {}
    for line in read_metrics(config["model_dir"]):
        steps.setdefault(line["phase"], []).append(line["step"])
    for phase in ("cnn", "devise_projection", "devise"):
        assert len(steps[phase]) > 3 and steps[phase] == list(range(1, len(steps[phase]) + 1))
    cnn, devise = loaded(config["model_dir"], "cnn"), loaded(config["model_dir"], "devise")
    assert devise.visual_model.get_layer("conv").compute_dtype == "bfloat16"
    assert not changed(devise.visual_model, weights_of(cnn))
    statistics = {path: value for path, value in weights_of(cnn).items() if "moving" in path}
    assert statistics and all(np.all(value == float("variance" in path)) for path, value in statistics.items())
