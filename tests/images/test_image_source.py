import io
import os
import threading
import types

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.images import ImageSource, open_images
from devise_tf.images.tfds_images import TFDSImages
from tests.helpers.image_files import BLUE, RED, encode, picture


def write_folder(root, files):
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return f"folder:{root}"


def read_all(source):
    return [source.encoded(tf.constant(i, tf.int64)).numpy() for i in range(len(source))]


@pytest.fixture
def spec(tmp_path):
    return write_folder(
        tmp_path,
        {
            "train/cat/2.JPEG": b"cat2",
            "train/cat/1.png": b"cat1",
            "train/cat/images/3.jpg": b"cat3",
            "train/cat/.hidden.jpg": b"hidden",
            "train/cat/notes.txt": b"notes",
            "train/ant/0.bmp": b"ant0",
            "train/bee/0.gif": b"bee0",
            "train/wnids.jpg": b"not in a label",
            "val/cat/9.jpg": b"cat9",
            "val/bee/9.jpg": b"bee9",
        },
    )


def test_folder(spec, tmp_path):
    source = open_images(spec, "train")
    assert isinstance(source, ImageSource)
    assert source.label_ids == ["ant", "bee", "cat"]
    assert source.labels.dtype == np.int32
    np.testing.assert_array_equal(source.labels, [0, 1, 2, 2, 2])
    assert len(source) == 5
    assert read_all(source) == [b"ant0", b"bee0", b"cat1", b"cat2", b"cat3"]
    assert source.describe(4) == str(tmp_path / "train/cat/images/3.jpg")
    assert read_all(open_images(spec, "val")) == [b"bee9", b"cat9"]


def test_reads_inside_a_dataset(spec):
    source = open_images(spec, "train")
    one = tf.data.Dataset.range(5).map(source.encoded)
    assert list(one.as_numpy_iterator()) == read_all(source)
    many = tf.data.Dataset.range(5).batch(3).map(source.encoded_batch)
    assert [list(batch) for batch in many.as_numpy_iterator()] == [read_all(source)[:3], read_all(source)[3:]]


def test_select_relabels_in_the_given_order(spec):
    source = open_images(spec, "train").select(["cat", "ant"])
    assert source.label_ids == ["cat", "ant"]
    np.testing.assert_array_equal(source.labels, [1, 0, 0, 0])
    assert read_all(source) == [b"ant0", b"cat1", b"cat2", b"cat3"]
    assert source.describe(0).endswith("ant/0.bmp")
    again = source.select(["ant", "cat"])
    np.testing.assert_array_equal(again.labels, [0, 1, 1, 1])
    assert read_all(again) == read_all(source)


def test_select_leaves_the_source_alone(spec):
    source = open_images(spec, "train")
    source.select(["cat", "ant"])
    assert source.label_ids == ["ant", "bee", "cat"]
    assert len(source) == 5


def test_select_refuses_labels_without_images(spec):
    source = open_images(spec, "val")
    with pytest.raises(ValueError, match=r"have images in .*val. Received: without images=\['ant', 'cow'\]"):
        source.select(["ant", "bee", "cow"])
    with pytest.raises(ValueError, match="and 2 more"):
        source.select([str(i) for i in range(12)])
    with pytest.raises(ValueError, match=r"repeated=\['bee'\]"):
        source.select(["bee", "cat", "bee"])


def test_empty_label_folders_are_labels(spec, tmp_path):
    (tmp_path / "train" / "asp").mkdir()
    source = open_images(spec, "train")
    assert source.label_ids == ["ant", "asp", "bee", "cat"]
    with pytest.raises(ValueError, match=r"without images=\['asp'\]"):
        source.select(["asp", "cat"])


def test_names_that_are_not_utf8(tmp_path):
    spec = write_folder(tmp_path, {"train/a/1.jpg": b"a", "train/b/1.jpg": b"b"})
    with open(os.path.join(os.fsencode(tmp_path), b"train", b"b", b"\xff\xfe.jpg"), "wb") as file:
        file.write(b"odd")
    source = open_images(spec, "train")
    assert read_all(source) == [b"a", b"b", b"odd"]
    assert os.fsencode(source.describe(2)).endswith(b"\xff\xfe.jpg")


def test_links(tmp_path):
    """Linked label folders are read; a link that leads in a circle below a label is not followed."""
    write_folder(tmp_path, {"train/a/1.jpg": b"a", "else/1.jpg": b"b"})
    os.symlink(tmp_path / "else", tmp_path / "train" / "b")
    os.symlink(tmp_path / "train", tmp_path / "train" / "a" / "circle")
    assert read_all(open_images(f"folder:{tmp_path}", "train")) == [b"a", b"b"]


def test_what_is_left_out_is_said_once_by_number_and_ending(tmp_path, caplog):
    names = [*(f"a/{i}.txt" for i in range(10)), "a/x.MOV", "b/y.mov", "b/README", "c/only.cr2", "readme.md"]
    names += [
        ".DS_Store",
        "@eaDir/1.jpg",
        "a/@eaDir/2.jpg",
        "a/._1.jpg",
        "b/._2.jpg",
        "b/Thumbs.db",
        "__MACOSX/a/1.jpg",
    ]
    names += ["b/.ipynb_checkpoints/1.jpg"]
    images = {"train/a/1.jpg": b"a", "train/b/1.WEBP": b"b", "train/b/2.heic": b"c"}
    spec = write_folder(tmp_path, images | {f"train/{name}": b"" for name in names})
    for _ in range(2):
        source = open_images(spec, "train")
    assert source.label_ids == ["a", "b", "c"] and read_all(source) == [b"a", b"b", b"c"]
    assert [record.getMessage() for record in caplog.records] == [
        f"Left out in {tmp_path}/train: 14 files that are no images: .txt 10, .mov 2, no ending 1, .cr2 1; "
        "1 file beside the folders of the labels: .md 1; hidden or of the system: "
        ".DS_Store, ._*, .ipynb_checkpoints, @eaDir, Thumbs.db, __MACOSX; labels without an image: c"
    ]


@pytest.mark.parametrize(
    "files, message",
    [
        ({"train/a/1.jpg": b""}, "at least two labels.*'a'"),
        ({"train/a/1.txt": b"", "train/b/2": b""}, "there are none. Received: .*train"),
        ({"train/1.jpg": b""}, "folders named after their labels; there are none"),
        ({"val/a/1.jpg": b""}, r"has no folder 'train'.*with \['val'\]"),
    ],
)
def test_folders_that_will_not_do(tmp_path, files, message):
    with pytest.raises(ValueError, match=message):
        open_images(write_folder(tmp_path, files), "train")


def test_invalid_arguments(tmp_path):
    with pytest.raises(ValueError, match="does not exist. Received: .*nowhere"):
        open_images(f"folder:{tmp_path}/nowhere", "train")
    with pytest.raises(ValueError, match="Received: split='test'"):
        open_images(f"folder:{tmp_path}", "test")
    for spec in ("folder", "folder:", "tfds:", "builtins", "builtin:x"):
        with pytest.raises(ValueError, match=f"Received: spec='{spec}'"):
            open_images(spec, "train")


@pytest.fixture(scope="module")
def tfds():
    return pytest.importorskip("tensorflow_datasets")


@pytest.fixture(scope="module")
def prepared(tfds, tmp_path_factory):
    """Two tiny sets made here: `red_or_blue`, and `no_labels`, which is no image classification set."""

    class RedOrBlue(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["red", "blue"])}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(40), "test": self._generate_examples(6)}

        def _generate_examples(self, count):
            for i in range(count):
                image = encode(picture(8 + i, 9, (RED, BLUE)[i % 2]), "PNG")
                yield i, {"image": io.BytesIO(image), "label": i % 2}

    class NoLabels(RedOrBlue):
        def _info(self):
            features = {"image": tfds.features.Image()}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _generate_examples(self, count):
            yield 0, {"image": io.BytesIO(encode(picture(), "PNG"))}

    directory = str(tmp_path_factory.mktemp("tfds"))
    return directory, open_images("tfds:red_or_blue", "train", directory)


def test_tfds(prepared):
    directory, source = prepared
    assert source.label_ids == ["red", "blue"]
    assert len(source) == 40
    assert source.labels.dtype == np.int32
    assert source.describe(3) == "red_or_blue/1.0.0:train[3]"
    heights = set()
    for encoded, label in zip(read_all(source), source.labels, strict=True):
        image = tf.io.decode_png(encoded).numpy()
        np.testing.assert_array_equal(image[0, 0], (RED, BLUE)[label])
        heights.add(len(image))
    assert heights == set(range(8, 48))
    validation = open_images("tfds:red_or_blue", "val", directory)
    assert validation.name == "red_or_blue/1.0.0:test"
    assert len(validation) == 6


def test_tfds_inside_a_dataset_with_many_threads(prepared):
    source = prepared[1].select(["blue", "red"])
    assert source.label_ids == ["blue", "red"]
    expected = read_all(source)
    one = tf.data.Dataset.range(40).repeat(5).map(source.encoded, num_parallel_calls=8)
    assert list(one.as_numpy_iterator()) == expected * 5
    many = tf.data.Dataset.range(40).repeat(5).batch(7).map(source.encoded_batch, num_parallel_calls=8).unbatch()
    assert list(many.as_numpy_iterator()) == expected * 5
    results = []
    threads = [threading.Thread(target=lambda: results.append(read_all(source))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_tfds_in_another_format(tfds, prepared, tmp_path):
    tfds.builder("red_or_blue", data_dir=tmp_path, file_format="tfrecord").download_and_prepare()
    command = f"tfds build red_or_blue --file_format=array_record --overwrite --data_dir={tmp_path}"
    with pytest.raises(ValueError, match=f"{command}`, in the folder .* Received: file_format=tfrecord"):
        open_images("tfds:red_or_blue", "train", str(tmp_path))
    without_code = tfds.builder_from_directory(tmp_path / "red_or_blue" / "1.0.0")
    with pytest.raises(ValueError, match=f"{command}`, in the folder"):
        TFDSImages(without_code, "train")


def test_tfds_with_images_of_floats(tfds):
    features = {
        "image": tfds.features.Image(shape=(None, None, 1), dtype=np.float32),
        "label": tfds.features.ClassLabel(names=["a", "b"]),
    }
    info = types.SimpleNamespace(full_name="depth/1.0.0", features=tfds.features.FeaturesDict(features))
    with pytest.raises(ValueError, match="must be of uint8 or uint16.*Received: depth/1.0.0 with dtype=float32"):
        TFDSImages(types.SimpleNamespace(info=info), "train")


def test_tfds_without_labels(prepared, tmp_path):
    with pytest.raises(ValueError, match="must have an `image` and a `label`"):
        open_images("tfds:no_labels", "train", str(tmp_path))


def test_unknown_tfds(tmp_path):
    with pytest.raises(ValueError, match="'no_such_set' is not prepared.*--file_format=array_record.*Received"):
        open_images("tfds:no_such_set", "train", str(tmp_path))


def paths_of(spec, split, share):
    source = open_images(spec, split, val_share=share)
    return {source.describe(i) for i in range(len(source))}


def test_a_folder_without_splits_is_split_by_names_and_further_files_move_none(tmp_path, caplog):
    names = [f"{label}/{i}.jpg" for label in "ab" for i in range(300)]
    spec = write_folder(tmp_path, {name: name.encode() for name in [*names, "c/only.jpg"]})
    train, val = (paths_of(spec, split, 0.2) for split in ("train", "val"))
    assert not train & val and train | val == {str(tmp_path / name) for name in [*names, "c/only.jpg"]}
    assert abs(len(val) / 601 - 0.2) < 4 * (0.2 * 0.8 / 601) ** 0.5
    assert str(tmp_path / "c/only.jpg") in train
    [message] = [record.getMessage() for record in caplog.records]
    expected = f"{tmp_path} has no folders train and val: {len(train)} images train, {len(val)} are measured"
    assert message == f"{expected} (--val_share=0.2)."
    write_folder(tmp_path, {name: b"" for name in ("a/0a.jpg", "b/more/300.jpg", "d/1.jpg")})
    assert train <= paths_of(spec, "train", 0.2) and val <= paths_of(spec, "val", 0.2)
    assert paths_of(spec, "val", 0.1) < val
    for split in ("train", "val"):
        assert open_images(spec, split).label_ids == ["a", "b", "c", "d"]


def test_label_of_a_folder_is_in_composed_form(tmp_path):
    """As lists of labels have it: macOS writes an accent apart from its letter."""
    files = {f"train/{name}/1.png": encode(picture(), "PNG") for name in ("cafe\u0301", "tea")}
    source = open_images(write_folder(tmp_path, files), "train")
    assert list(source.label_ids) == ["caf\u00e9", "tea"] and len(read_all(source)) == 2
