"""Images in folders named after their labels."""

import hashlib
import os
import unicodedata
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from devise_tf.choices import VAL_SHARE
from devise_tf.images.image_source import ImageSource
from devise_tf.images.left_out import LeftOut, is_image, is_system, say_once


class FolderImages(ImageSource):
    """Image files in folders named after their labels: `directory/split/label/**/*.jpg`, or `directory/label/**/*.jpg`.

    Labels and files are sorted by name. Files count as images by their ending (`EXTENSIONS`, in capitals too);
    hidden files and those of operating systems do not. A label folder without images is a label all the same. What is
    left out is logged, by number and ending.

    Where there are no folders of splits, a hash of each file's name says whether it is of `"val"`, so that further
    files move none from one split to the other; but of each label the file with the largest hash trains.

    Args:
        directory: String. The folder that holds the splits or labels.
        split: String. `"train"` or `"val"`.
        val_share: Float, 0 to 1. Where there are no folders of splits, the share of the files that is `"val"`.

    Raises:
        ValueError: The folder, the split or images in it are missing.
    """

    def __init__(self, directory: str, split: str, val_share: float = VAL_SHARE):
        directory = os.path.expanduser(directory)
        root = os.path.join(directory, split)
        if not os.path.isdir(directory):
            raise ValueError(f"The image folder does not exist. Received: {directory}")
        whole = not any(os.path.isdir(os.path.join(directory, name)) for name in ("train", "val", split))
        if not whole and not os.path.isdir(root):
            raise ValueError(
                f"The image folder has no folder {split!r}; images belong in {os.path.join(root, '<label>', '')}. "
                f"Received: {directory} with {sorted(os.listdir(directory))[:10]}"
            )
        root = directory if whole else root
        left_out = LeftOut(root)
        files: dict[str, list[str]] = {}
        for folder in _labels(root, left_out):
            # macOS writes letters and accents apart, which lists of labels do not.
            label = unicodedata.normalize("NFC", folder)
            files.setdefault(label, []).extend(sorted(_image_files(os.path.join(root, folder), left_out)))
        for label in (label for label, paths in files.items() if not paths):
            left_out.add_label_without_images(label)
        left_out.log()
        if whole:
            files = _split(files, root, split, val_share)
        paths = [path for label_paths in files.values() for path in label_paths]
        if not paths:
            raise ValueError(
                "The image folder must hold images (.jpg, .png, .webp, …) in folders named after their labels; "
                f"there are none. Received: {root}"
            )
        labels = np.repeat(np.arange(len(files), dtype="int32"), [len(label_paths) for label_paths in files.values()])
        super().__init__(list(files), labels, f"{root} ({split})" if whole else root)
        with tf.init_scope(), tf.device("CPU:0"):
            # As bytes: names that are not UTF-8 are names too.
            self._paths = tf.constant([os.fsencode(path) for path in paths])

    def _read(self, row: tf.Tensor) -> tf.Tensor:
        return tf.io.read_file(tf.gather(self._paths, row))

    def _describe(self, row: int) -> str:
        return os.fsdecode(self._paths[row].numpy())


def _split(files: dict[str, list[str]], root: str, split: str, val_share: float) -> dict[str, list[str]]:
    """The files of a split, by label, where the folders do not say it."""
    result: dict[str, dict[str, list[str]]] = {"train": {}, "val": {}}
    for label, paths in files.items():
        hashes = [_hash(os.path.relpath(path, root)) for path in paths]
        last = max(hashes, default=0.0)
        for name, held_out in (("train", False), ("val", True)):
            chosen = (
                path for path, hash_ in zip(paths, hashes, strict=True) if (hash_ < min(val_share, last)) == held_out
            )
            result[name][label] = list(chosen)
    train, val = (sum(map(len, labels.values())) for labels in result.values())
    say_once(
        f"{root} has no folders train and val: {train} images train, {val} are measured (--val_share={val_share:g})."
    )
    return result[split]


def _hash(name: str) -> float:
    """A number from 0 to 1 that depends on a name alone."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=7).digest()) / 2**56


def _labels(root: str, left_out: LeftOut) -> list[str]:
    label_ids = []
    with os.scandir(root) as entries:
        for entry in entries:
            if is_system(entry.name):
                left_out.add(entry.name)
            elif entry.is_dir():
                label_ids.append(entry.name)
            else:
                left_out.add_file_beside_labels(entry.name)
    return sorted(label_ids)


def _image_files(directory: str, left_out: LeftOut) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            # Links to folders are not followed below the label, where they could lead in circles.
            if entry.is_dir(follow_symlinks=False) and not is_system(entry.name):
                yield from _image_files(entry.path, left_out)
            elif is_image(entry.name):
                yield entry.path
            else:
                left_out.add(entry.name)
