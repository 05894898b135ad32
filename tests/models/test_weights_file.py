"""Weights in a `.npz` file: what is in it, what comes back, and what is refused."""

import hashlib
import io
import zipfile

import keras
import numpy as np
import pytest

from devise_tf.models.weights_file import load_weights, save_weights


def network(name="network"):
    pixels = keras.Input((3,))
    x = keras.layers.Dense(2, name="first")(pixels)
    x = keras.layers.BatchNormalization(name="normalization")(x)
    x = keras.layers.Dropout(0.5, seed=0, name="dropout")(x)
    model = keras.Model(pixels, keras.layers.Dense(4, use_bias=False, name="last")(x), name=name)
    for position, weight in enumerate(model.weights):
        weight.assign(position + np.arange(np.prod(weight.shape)).reshape(weight.shape) / 8)
    return model


SHAPES = {
    "first/kernel": (3, 2),
    "first/bias": (2,),
    "normalization/gamma": (2,),
    "normalization/beta": (2,),
    "normalization/moving_mean": (2,),
    "normalization/moving_variance": (2,),
    "last/kernel": (2, 4),
}
ARRAYS = {key: np.full(shape, 2.0, np.float32) for key, shape in SHAPES.items()}


class Head(keras.Model):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.projection = keras.layers.Dense(2, name="projection")
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.positions = self.add_weight(shape=(2,), dtype="int32", initializer="ones", trainable=False, name="places")

    def call(self, x):
        return self.projection(x) * self.scale


def head(**arguments):
    model = Head(**arguments)
    model(np.ones((1, 3)))
    return model


def archive(arrays):
    file = io.BytesIO()
    np.savez(file, allow_pickle=True, **arrays)
    return file.getvalue()


def last(array):
    """An archive that is sound but perhaps for this array."""
    return archive({**ARRAYS, "last/kernel": array})


def zipped(entries, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as target:
        for name, data in entries:
            target.writestr(name, data)
    return file.getvalue()


def npy(array, header=None):
    """The bytes of an array, perhaps under the header of another."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array) | (header or {}))
    return file.getvalue() + array.tobytes()


def entries(**others):
    """Sound entries, but for `others`; their names have `__` for a slash."""
    others = {key.replace("__", "/"): data for key, data in others.items()}
    return [(f"{key}.npy", others.get(key, npy(array))) for key, array in ARRAYS.items()]


def test_saved_weights_are_loaded_unchanged(tmp_path):
    model = network()
    digest = save_weights(model, tmp_path / "a.npz")
    assert digest == hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest()
    assert save_weights(network("other"), tmp_path / "b.npz") == digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert {key: stored[key].shape for key in stored} == SHAPES
        assert {stored[key].dtype for key in stored} == {np.dtype("float32")}
    loaded = network("loaded")
    for weight in loaded.weights:
        weight.assign(keras.ops.zeros_like(weight))
    load_weights(loaded, tmp_path / "a.npz", digest.upper())
    for weight, expected in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_half_precision_rounds_floats_alone(tmp_path):
    model = head()
    model.projection.kernel.assign([[1 / 3, -2.0], [0.0, 100.5], [1e-3, 7.0]])
    model.positions.assign([70000, -3])
    save_weights(model, tmp_path / "a.npz", dtype="float16")
    with np.load(tmp_path / "a.npz") as stored:
        assert {key: str(stored[key].dtype) for key in stored} == {
            "scale": "float16",
            "places": "int32",
            "projection/kernel": "float16",
            "projection/bias": "float16",
        }
    loaded = head()
    load_weights(loaded, tmp_path / "a.npz")
    assert loaded.projection.kernel.dtype == "float32"
    np.testing.assert_array_equal(
        loaded.projection.kernel, np.float16([[1 / 3, -2.0], [0.0, 100.5], [1e-3, 7.0]]).astype(np.float32)
    )
    assert loaded.positions.numpy().tolist() == [70000, -3]


def test_bfloat16_weights_are_stored_in_float32(tmp_path):
    keras.config.set_dtype_policy("bfloat16")
    model = network()
    save_weights(model, tmp_path / "a.npz")
    assert np.load(tmp_path / "a.npz")["first/kernel"].dtype == np.float32
    loaded = network()
    loaded.set_weights([np.zeros(weight.shape) for weight in loaded.weights])
    load_weights(loaded, tmp_path / "a.npz")
    np.testing.assert_array_equal(keras.ops.cast(loaded.weights[0], "float32"), np.arange(6).reshape(3, 2) / 8)


def test_renamed_subclassed_model_loads_its_weights(tmp_path):
    model = head(name="one")
    model.scale.assign(5.0)
    save_weights(model, tmp_path / "a.npz")
    loaded = head(name="two")
    load_weights(loaded, tmp_path / "a.npz")
    assert float(loaded.scale) == 5


def test_layer_inside_a_model_is_saved_and_loaded(tmp_path):
    model = head(name="one")
    save_weights(model.projection, tmp_path / "a.npz")
    assert np.load(tmp_path / "a.npz").files == ["kernel", "bias"]
    loaded = keras.layers.Dense(2, name="other")
    loaded.build((None, 3))
    load_weights(loaded, tmp_path / "a.npz")
    np.testing.assert_array_equal(loaded.kernel, model.projection.kernel)


def test_refused_save_leaves_the_old_file(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"old")
    model = network()
    with pytest.raises(ValueError, match="`dtype` must be 'float16', .* Received: dtype='int8'"):
        save_weights(model, tmp_path / "a.npz", dtype="int8")
    model.get_layer("last").kernel.assign(np.full((2, 4), 7e4))
    with pytest.raises(ValueError, match="`last/kernel` has values too large for float16: save float32"):
        save_weights(model, tmp_path / "a.npz", dtype="float16")
    model.get_layer("last").kernel.assign(np.full((2, 4), np.nan))
    with pytest.raises(ValueError, match="`last/kernel` has values that are not finite.* Received: model='network'"):
        save_weights(model, tmp_path / "a.npz")
    with pytest.raises(ValueError, match="`model` has no weights yet: build or call it first. Received: model='head'"):
        save_weights(Head(name="head"), tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError):
        save_weights(network(), tmp_path / "missing" / "a.npz")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_layers_of_one_name_are_refused(tmp_path):
    model = Head(name="head")
    model.again = keras.layers.Dense(2, name="projection")
    model.again.build((None, 3))
    model.projection.build((None, 3))
    model.built = True
    with pytest.raises(ValueError, match="two weights of the path 'projection/kernel': give its layers different"):
        save_weights(model, tmp_path / "a.npz")


def test_checksum_comes_before_reading(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"no archive")
    result = hashlib.sha256(b"no archive").hexdigest()
    with pytest.raises(ValueError, match=rf"SHA-256 is {result}, .* Received: path='.*a.npz', sha256='{'0' * 64}'"):
        load_weights(network(), tmp_path / "a.npz", "0" * 64)
    with pytest.raises(ValueError, match="damaged or truncated"):
        load_weights(network(), tmp_path / "a.npz", result)


KERNEL = ARRAYS["last/kernel"]
SOUND = zipped(entries())
FLIPPED = SOUND.replace(npy(KERNEL), npy(KERNEL)[:-1] + b"\xff")
# Bit 0 of the flags in both headers of an entry.
ENCRYPTED = SOUND.replace(b"PK\3\4\x14\0\0", b"PK\3\4\x14\0\1")
ENCRYPTED = ENCRYPTED.replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1")
# The archive's end says that the list of entries stands further on: all places then come to lie before the beginning.
BEFORE = SOUND[:-6] + b"\xff\xff\0\0" + SOUND[-2:]
OBJECT = last(np.array([[{}] * 4] * 2, object))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped(entries()[1:]), r"model's 7 weights .*1 are missing, such as \['first/kernel.npy'\]; 0 are unexpected"),
        (archive({**ARRAYS, "more/bias": KERNEL}), r"0 are missing.* 1 are unexpected, such as \['more/bias.npy'\]"),
        (zipped(entries() + [("last/kernel", b"")]), r"1 are unexpected, such as \['last/kernel'\]"),
        (last(KERNEL.T.copy()), r"must be float.* of shape \(2, 4\), not float32 of shape \(4, 2\)\. Build"),
        (last(KERNEL * np.inf), "`last/kernel` has values that are not finite"),
        (last(KERNEL.astype(np.float64)), "`last/kernel` must be float16 or float32 .* not"),
        (last(KERNEL.astype(np.int32)), "`last/kernel` must be float16 or float32 .* not i"),
        (last(KERNEL.astype(">f4")), "`last/kernel` must be float16 or float32 .* not >f4"),
        (last(np.asfortranarray(KERNEL)), "float32 of shape .2, 4. in Fortran order"),
        (OBJECT, "`last/kernel` must be float16 or float32 .* not object"),
        (zipped(entries(last__kernel=npy(KERNEL, {"shape": (10**15, 4)}))), "of shape .1000000000000000, 4."),
        (zipped(entries(last__kernel=npy(KERNEL) + bytes(10**7)), zipfile.ZIP_DEFLATED), "needs 32 bytes, but has 100"),
        (zipped(entries(last__kernel=b"\x93NUMPY\2\0" + b"\xff" * 10**5)), r"unknown version \(2, 0\)"),
        (zipped(entries(), zipfile.ZIP_LZMA), "`first/kernel` is compressed in a way that NumPy does not write"),
        (zipped(entries(last__kernel=b"none")), "magic string"),
        (ENCRYPTED, "damaged or truncated .*encrypted"),
        (FLIPPED, "damaged or truncated .*CRC"),
        (BEFORE, "damaged or truncated .*Invalid argument"),
        (SOUND[:-30], "damaged or truncated .*get it again"),
        (b"", "damaged or truncated"),
    ],
)
def test_refused_load_leaves_the_model(tmp_path, data, message):
    (tmp_path / "a.npz").write_bytes(data)
    model = network()
    before = model.get_weights()
    with pytest.raises(ValueError, match=rf"(?s)Cannot load weights: .*{message}") as error:
        load_weights(model, tmp_path / "a.npz")
    assert f"Received: path={str(tmp_path / 'a.npz')!r}" in str(error.value)
    for weight, expected in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_duplicate_entry_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped(entries() + entries()[:1])
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ValueError, match="7 weights once each"):
        load_weights(network(), tmp_path / "a.npz")


def test_archives_of_other_writers_are_read(tmp_path):
    """Compressed ones, those with float16, and those in another order."""
    arrays = {key: array.astype(np.float16) for key, array in reversed(ARRAYS.items())}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    model = network()
    load_weights(model, tmp_path / "a.npz")
    for weight in model.weights:
        np.testing.assert_array_equal(weight, np.full(weight.shape, 2))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="a.npz"):
        load_weights(network(), tmp_path / "a.npz")
