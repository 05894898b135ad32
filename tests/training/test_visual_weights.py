"""Where the visual model's weights come from, which of them are trained, and in what precision."""

import io
import json
import os
import re
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.config import FREE, Config
from devise_tf.model_dir import ModelDir
from devise_tf.models.devise import DeViSE
from devise_tf.models.pretrained import Preset
from devise_tf.models.registry import build_visual_model, representation_model
from devise_tf.models.visual_weights import load_visual_weights
from devise_tf.models.weights_file import load_weights, save_weights
from devise_tf.packaged import models_folder
from devise_tf.training import make_strategy, train
from devise_tf.training.phases.devise import times_gradient
from devise_tf.training.phases.image_batches import LOSS_SCALE
from tests.helpers import tiny_run
from tests.helpers.tiny_run import SEEN, UNSEEN, read_metrics, settings

LITE0 = os.path.join(models_folder(), "efficientnet_lite")


def start_run(config):
    return train(Config(**config), make_strategy())


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


def weights_of(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def give_values(model, seed=0):
    """Draws every weight anew, so that none has a value that a new model would have, too."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 1, weight.shape) for weight in model.weights])
    return model


def save(model, path):
    if path.endswith(".npz"):
        save_weights(model, path)
    elif path.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    return path


# Files


@pytest.mark.parametrize("num_labels", [5, 7])
@pytest.mark.parametrize("ending", [".keras", ".npz", ".weights.h5"])
def test_files_of_any_number_of_labels(ending, num_labels, tmp_path):
    """At another size of images, and in another precision; the logits of another number stay as they were drawn."""
    saved = give_values(build_visual_model("resnet_tiny", 7, 32, dropout=0.1))
    path = save(saved, str(tmp_path / f"model{ending}"))
    model = build_visual_model("resnet_tiny", num_labels, 16, "mixed_bfloat16", dropout=0.1)
    before = weights_of(model)
    assert load_visual_weights(model, "resnet_tiny", path) == 7
    expected = weights_of(saved)
    assert weights_of(model).keys() == expected.keys()
    for name, value in weights_of(model).items():
        kept = name.startswith("logits/") and num_labels == 5
        np.testing.assert_array_equal(value, before[name] if kept else expected[name], err_msg=name)


@pytest.fixture
def small_application(monkeypatch):
    """The name of one that takes no time."""

    def make(weights=None, **arguments):
        return keras.applications.MobileNet(weights=weights, alpha=0.05, **arguments)

    monkeypatch.setattr(keras.applications, "MobileNetTiny", make, raising=False)
    return "keras_applications/MobileNetTiny"


@pytest.mark.parametrize("ending", [".keras", ".npz", ".weights.h5"])
def test_files_of_an_application(ending, small_application, tmp_path):
    """Of the visual model made of it, and of the application itself."""
    saved = give_values(build_visual_model(small_application, 4, 32))
    path = save(saved, str(tmp_path / f"model{ending}"))
    model = build_visual_model(small_application, 4, 40)
    assert load_visual_weights(model, small_application, path) == 4
    for given, expected in zip(model.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(given, expected)
    if ending == ".weights.h5":
        own = give_values(keras.applications.MobileNetTiny(include_top=False), seed=1)
        own.save_weights(path)
        logits = model.get_layer("logits").get_weights()
        assert load_visual_weights(model, small_application, path) == 0
        for given, expected in zip(model.get_weights(), [*own.get_weights(), *logits], strict=True):
            np.testing.assert_array_equal(given, expected)


def assert_refused(path, message):
    """With one line, which ends in what was received, and with the model as it was."""
    model = build_visual_model("resnet_tiny", 5, 16)
    before = weights_of(model)
    with pytest.raises(ValueError, match=message) as raised:
        load_visual_weights(model, "resnet_tiny", path)
    assert "\n" not in str(raised.value)
    for name, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[name])


def unreadable(path, content=b"no weights\n"):
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: "imagenet", "No ImageNet weights come with `resnet_tiny`"),
        (lambda d: "resnet.pth", r"must be 'imagenet', or a file that ends in .keras, .npz or .weights.h5"),
        (lambda d: f"{d}/none.keras", "no such file.*none.keras"),
        (lambda d: f"{d}/none.npz", "No such file.*none.npz"),
        (lambda d: unreadable(d / "text.keras"), "text.keras does not hold weights of `resnet_tiny` for images of 16"),
        (lambda d: unreadable(d / "text.weights.h5"), "text.weights.h5 does not hold weights of `resnet_tiny`"),
        (lambda d: unreadable(d / "text.npz"), "Cannot load weights: .*text.npz"),
        (lambda d: save(build_visual_model("alexnet_tiny", 5, 32), f"{d}/m.keras"), "m.keras does not hold weights"),
        (lambda d: save(build_visual_model("alexnet_tiny", 5, 32), f"{d}/m.npz"), "Cannot load weights: .*m.npz"),
        (
            # A block more at the top, whose weights would be left over.
            lambda d: save(build_visual_model("resnet_tiny", 5, 32, blocks=(1, 2)), f"{d}/m.weights.h5"),
            "m.weights.h5 does not hold weights of `resnet_tiny` .*: it has .* weights in place of",
        ),
        (
            lambda d: save(
                DeViSE(representation_model(build_visual_model("resnet_tiny", 5, 16)), np.eye(3)), f"{d}/m.keras"
            ),
            "m.keras does not hold weights of `resnet_tiny` .*: it has no layer of logits",
        ),
    ],
)
def test_weights_that_do_not_fit(make, message, tmp_path):
    model = build_visual_model("resnet_tiny", 5, 16)
    before = weights_of(model)
    with pytest.raises((ValueError, OSError), match=message) as raised:
        load_visual_weights(model, "resnet_tiny", make(tmp_path))
    assert "\n" not in str(raised.value)
    for name, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[name])


def npz_header(shape, descr="<f4"):
    """What an array of a shape begins with, and two numbers."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(8)


@pytest.mark.parametrize("descr", ["<f4", "|S0"])
@pytest.mark.parametrize("kernel", [None, (), (0,), (16,)])
@pytest.mark.parametrize("num_labels", [10**12, 2**62, 10**7, 0, -3])
def test_headers_that_promise_more_than_the_file_has(num_labels, kernel, descr, tmp_path):
    """They are refused before anything of that size is made: of the bias alone, and of bias and kernel."""
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("logits/bias.npy", npz_header((num_labels,), descr))
        if kernel is not None:
            archive.writestr("logits/kernel.npy", npz_header((*kernel, num_labels) if kernel else (), descr))
    assert_refused(str(path), r"^Cannot load weights: .* Received: path='.*m\.npz'$")


@pytest.mark.parametrize("num_labels", [10**10, 0])
def test_archives_whose_directory_promises_more_than_they_have(num_labels, tmp_path):
    """Entries' sizes are as their headers say, and both are made up."""
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, shape in (("bias", (num_labels,)), ("kernel", (16, num_labels))):
            archive.writestr(f"logits/{name}.npy", npz_header(shape))
        for entry in archive.infolist():
            entry.file_size = 128 + 4 * num_labels * (16 if "kernel" in entry.filename else 1)
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("logits/bias.npy").file_size == 128 + 4 * num_labels
    assert_refused(str(path), r"^Cannot load weights: .* Received: path='.*m\.npz'$")


@pytest.mark.parametrize("num_labels", [10**12, 10**7, 0])
@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_datasets_that_promise_more_than_the_file_has(ending, num_labels, tmp_path):
    path = str(tmp_path / f"m{ending}")
    stored = str(tmp_path / "inside.weights.h5")
    saved = build_visual_model("resnet_tiny", 5, 16)
    saved.save_weights(stored)
    with h5py.File(stored, "a") as file:
        top = file["layers/dense/vars"]
        features = top["0"].shape[0]
        for name, shape in (("0", (features, num_labels)), ("1", (num_labels,))):
            del top[name]
            top.create_dataset(
                name, shape, "float32", chunks=tuple(min(n, 64) or 1 for n in shape), maxshape=(None,) * len(shape)
            )
    if ending == ".keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(stored, "model.weights.h5")
    else:
        os.rename(stored, path)
    what = "in place of .* for 0 labels" if num_labels == 0 else r"of shape \(.*\) has 0 bytes"
    assert_refused(path, rf"{re.escape(ending)} does not hold weights of `resnet_tiny` .*{what}.* Received: visual_wei")


def damaged(path, start, stop):
    """Replaces a part of a file, in fractions of its length."""
    with open(path, "r+b") as file:
        size = os.path.getsize(path)
        file.seek(int(start * size))
        file.write(b"\xa5" * int((stop - start) * size))
    return path


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("place", range(12))
def test_damaged_files(ending, place, tmp_path):
    """Wherever the damage is, an error names the file, or only values are others."""
    path = damaged(
        save(build_visual_model("resnet_tiny", 5, 16), str(tmp_path / f"m{ending}")), place / 12, (place + 1) / 12
    )
    try:
        load_visual_weights(build_visual_model("resnet_tiny", 5, 16), "resnet_tiny", path)
    except ValueError as error:
        assert str(error).startswith(f"{path} does not hold weights of `resnet_tiny`")
    os.truncate(path, os.path.getsize(path) * place // 12)
    assert_refused(path, r"does not hold weights of `resnet_tiny`")


@pytest.mark.parametrize(("offset", "value"), [("flags", 1), ("method", 97), ("method", 8)])
def test_archives_that_are_encrypted_or_compressed_otherwise(offset, value, tmp_path):
    """The fields of all entries, in front of them and in the directory, say so; what follows is no such stream."""
    path = tmp_path / "m.keras"
    save(build_visual_model("resnet_tiny", 5, 16), str(path))
    content = bytearray(path.read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(magic), bytes(content)):
            content[found.start() + flags + (0 if offset == "flags" else 2)] = value
    path.write_bytes(content)
    assert_refused(str(path), "does not hold weights of `resnet_tiny`")


def test_the_checksum_comes_before_all_else(tmp_path, monkeypatch):
    """The weights that come with the package may be damaged: nothing of their headers is believed."""
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("logits/bias.npy", npz_header((10**12,)))
    packaged = Preset.file
    monkeypatch.setattr(Preset, "file", lambda self, name: str(path) if name.endswith(".npz") else packaged(self, name))
    model = build_visual_model("efficientnet_lite0", 5, 32)
    with pytest.raises(ValueError, match=r"the file's SHA-256 is .* Received: path='.*m\.npz', sha256="):
        load_visual_weights(model, "efficientnet_lite0", "imagenet")


def test_weights_that_depend_on_the_size_of_images(tmp_path):
    path = save(build_visual_model("alexnet_tiny", 5, 64), str(tmp_path / "model.keras"))
    with pytest.raises(ValueError, match="does not hold weights of `alexnet_tiny` for images of 32 pixels"):
        load_visual_weights(build_visual_model("alexnet_tiny", 5, 32), "alexnet_tiny", path)


@pytest.mark.slow
def test_imagenet_weights_that_come_with_the_package():
    """Of 1,000 labels as they are; of others all but the logits, at another size of images."""
    with open(os.path.join(LITE0, "efficientnet_lite0.json"), encoding="utf-8") as file:
        sha256 = json.load(file)["networks"]["softmax"]["sha256"]
    expected = build_visual_model("efficientnet_lite0", 1000, 64)
    load_weights(expected, os.path.join(LITE0, "efficientnet_lite0.npz"), sha256)
    for num_labels in (1000, 6):
        model = build_visual_model("efficientnet_lite0", num_labels, 96)
        assert load_visual_weights(model, "efficientnet_lite0", "imagenet") == 1000
        for layer in model.layers[: None if num_labels == 1000 else -1]:
            for given, wanted in zip(layer.get_weights(), expected.get_layer(layer.name).get_weights(), strict=True):
                np.testing.assert_array_equal(given, wanted)
    with pytest.raises(ValueError, match="No ImageNet weights come with `efficientnet_lite1`"):
        load_visual_weights(model, "efficientnet_lite1", "imagenet")


# Runs


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """Weights of `resnet_tiny` for as many labels as the run has, and for more."""
    directory = tmp_path_factory.mktemp("weights")
    return {
        count: save(give_values(build_visual_model("resnet_tiny", count, 16)), str(directory / f"{count}.npz"))
        for count in (len(SEEN), 9)
    }


def loaded(model_dir, name):
    return keras.models.load_model(os.path.join(model_dir, f"{name}.keras"), compile=False)


def changed(model, others):
    """Paths of the weights that are not as in `others`; in DeViSE those of the visual model."""
    return {path for path, value in weights_of(model).items() if not np.array_equal(value, others[path])}


def test_a_softmax_is_used_as_it_is(inputs, weights_file, tmp_path, capsys):
    """Phase 2 writes the network without a step."""
    config = settings(inputs, tmp_path / "run", phase="cnn", visual_weights=weights_file[5], cnn_epochs=0.0)
    start_run(config)
    assert f"Weights: {weights_file[5]}; softmax: kept" in capsys.readouterr().out
    assert not os.path.exists(tmp_path / "run" / "metrics.jsonl")
    expected = weights_of(give_values(build_visual_model("resnet_tiny", 5, 16)))
    assert not changed(loaded(config["model_dir"], "cnn"), expected)


@pytest.mark.slow
def test_phase_3_goes_on_from_a_softmax_that_was_not_trained(inputs, vectors, weights_file, tmp_path):
    changes = {"corpus": "", "vectors": vectors, "visual_weights": weights_file[5], "cnn_epochs": 0.0}
    config = settings(inputs, tmp_path / "run", **changes, random_models=0, finetune_epochs=0.0)
    assert "Seen labels" in start_run(config)
    assert {line["phase"] for line in read_metrics(config["model_dir"])} == {"devise_projection"}
    expected = weights_of(give_values(build_visual_model("resnet_tiny", 5, 16)))
    assert not changed(loaded(config["model_dir"], "devise").visual_model, expected)


def test_a_softmax_for_other_labels_cannot_be_used_as_it_is(inputs, weights_file, tmp_path):
    config = settings(inputs, tmp_path / "run", phase="cnn", visual_weights=weights_file[9], cnn_epochs=0.0)
    with pytest.raises(
        ValueError, match="softmax must be for the run's 5 seen labels, and it is for 9: .*cnn_epochs=0"
    ):
        start_run(config)
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
        start_run(settings(inputs, tmp_path / "run", phase="cnn", **changes))
    assert "\n" not in str(raised.value)
    assert not os.path.exists(tmp_path / "run" / "flags.txt")


@pytest.mark.slow
@pytest.mark.parametrize("last", ["stage1_block1_add", "all"])
def test_frozen_layers_stay_through_all_phases(last, inputs, vectors, weights_file, tmp_path, capsys):
    """Statistics of batch normalization among them; the softmax is new, since the file has more labels."""
    changes = {"corpus": "", "vectors": vectors, "visual_weights": weights_file[9], "frozen_layers": last}
    config = settings(inputs, tmp_path / "run", **changes, random_models=0)
    start_run(config)
    assert "softmax: new, since theirs is for 9 labels" in capsys.readouterr().out
    given = weights_of(give_values(build_visual_model("resnet_tiny", 9, 16)))
    names = [path for path in given if not path.startswith("logits/")]
    below = {path for path in names if last == "all" or path.startswith(("stem", "stage1"))}
    cnn, projected, finetuned = (loaded(config["model_dir"], name) for name in ("cnn", "devise_projection", "devise"))
    assert changed(representation_model(cnn), given) == set(names) - below
    assert not changed(projected.visual_model, weights_of(cnn))
    further = changed(finetuned.visual_model, weights_of(cnn))
    assert further == {path for path in set(names) - below if "normalization" not in path}
    assert not np.array_equal(finetuned.projection.kernel, projected.projection.kernel)


def precise(dtype, inputs, vectors, directory, **changes):
    """Runs phases 2 and 3; returns the losses."""
    run = settings({**inputs, "corpus": ""}, directory, vectors=vectors, dtype=dtype, random_models=0, **changes)
    assert "Seen labels" in start_run(run)
    return [line["loss"] for line in read_metrics(directory)]


@pytest.fixture(scope="module")
def in_float32(inputs, vectors, tmp_path_factory):
    return precise("float32", inputs, vectors, tmp_path_factory.mktemp("float32") / "run")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
def test_networks_of_every_dtype(dtype, inputs, vectors, in_float32, tmp_path):
    """What is not the visual model is float32; the losses are near those of float32."""
    if dtype == "float16":
        losses = precise(dtype, inputs, vectors, tmp_path / "run", frozen_layers="all")
        assert np.mean(losses[-6:]) < 0.5 * np.mean(losses[8:11])  # of phase 3
    else:
        losses = precise(dtype, inputs, vectors, tmp_path / "run")
        assert np.mean(np.abs(np.subtract(losses, in_float32))) < 0.05
    cnn, devise = loaded(tmp_path / "run", "cnn"), loaded(tmp_path / "run", "devise")
    for model in (cnn, devise.visual_model):
        assert model.get_layer("stem_convolution").dtype_policy.name == dtype
    assert cnn.get_layer("logits").dtype_policy.name == devise.projection.dtype_policy.name == "float32"
    assert devise.label_vectors.dtype == "float32"


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


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_with_what_is_frozen(inputs, vectors, weights_file, tmp_path):
    changes = {
        "corpus": "",
        "vectors": vectors,
        "visual_weights": weights_file[9],
        "frozen_layers": "stage1_block1_add",
        "dtype": "mixed_float16",
        "random_models": 0,
    }
    expected = settings(inputs, tmp_path / "expected", **changes)
    tiny_run.run(expected)
    config = settings(inputs, tmp_path / "run", **changes)
    for kill in (("cnn", 4, "before"), ("devise", 3, "after")):
        status, output = tiny_run.finish(tiny_run.start(config, kill_at=kill))
        assert status < 0, output
    tiny_run.run(config)
    assert read_metrics(config["model_dir"]) == read_metrics(expected["model_dir"])
    for name in ("cnn", "devise"):
        first, second = (loaded(c["model_dir"], name).get_weights() for c in (expected, config))
        assert all(map(np.array_equal, first, second))


def test_old_model_directories_go_on(tmp_path):
    """Their `flags.txt` knows nothing of what came later; what is set of that must be there to go on with it."""
    config = settings({"corpus": "text.txt", "images": "folder:photos"}, tmp_path)
    later = {"frozen_layers": "all", "dtype": "bfloat16", "visual_weights": "a.npz"}
    for name, value in later.items():
        old, new = ModelDir(str(tmp_path / "old" / name)), ModelDir(str(tmp_path / "new" / name))
        for _ in range(2):
            old.check_flags(Config(**config).bound(), FREE)
            new.check_flags(Config(**config, **{name: value}).bound(), FREE)
        text = (tmp_path / "old" / name / "flags.txt").read_text(encoding="utf-8")
        assert not any(added in text for added in later)
        with pytest.raises(ValueError, match=f"other flags: --{name} not set .now --{name}={value}"):
            old.check_flags(Config(**config, **{name: value}).bound(), FREE)
        with pytest.raises(ValueError, match=f"other flags: --{name}={value} .now not set"):
            new.check_flags(Config(**config).bound(), FREE)


@pytest.mark.slow
def test_an_application_on_the_built_in_set(tmp_path):
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
    start_run({**config, "phase": "skip_gram"})
    config["phase"] = "cnn"
    for phase in ("cnn", "devise"):
        config["phase"] = phase
        with pytest.raises(KeyboardInterrupt):
            train(Config(**config), make_strategy(), [tiny_run.Interrupt(3)])
        start_run(config)
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
