"""Images in folders named after their labels."""

import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from devise_tf.images.image_source import ImageSource
from devise_tf.images.left_out import LeftOut


class FolderImages(ImageSource):
    """Image files in folders named after their labels: `directory/split/label/**/*.jpg`.

    Labels and files are sorted by name. Files count as images by their ending (`EXTENSIONS`, in capitals too);
    hidden files and those of operating systems do not. A label folder without images is a label all the same. What is
    left out is logged, by number and ending.

    Args:
        directory: String. The folder that holds the splits.
        split: String. `"train"` or `"val"`.

    Raises:
        ValueError: The folder, the split or images in it are missing.
    """

    def __init__(self, directory: str, split: str):
        directory = os.path.expanduser(directory)
        root = os.path.join(directory, split)
        if not os.path.isdir(directory):
            raise ValueError(f"The image folder does not exist. Received: {directory}")
        if not os.path.isdir(root):
            raise ValueError(
                f"The image folder has no folder {split!r}; images belong in {os.path.join(root, '<label>', '')}. "
                f"Received: {directory} with {sorted(os.listdir(directory))[:10]}"
            )
        left_out = LeftOut(root)
        label_ids = _label_ids(root, left_out)
        paths: list[str] = []
        labels: list[int] = []
        for label, label_id in enumerate(label_ids):
            files = sorted(_image_files(os.path.join(root, label_id), left_out))
            paths += files
            labels += [label] * len(files)
            if not files:
                left_out.add_label_without_images(label_id)
        left_out.log()
        if not paths:
            raise ValueError(
                f"The image folder must hold images (.jpg, .png, .webp, …) in folders named after their labels; "
                f"there are none. Received: {root}"
            )
        super().__init__(label_ids, np.array(labels, "int32"), root)
        with tf.init_scope(), tf.device("CPU:0"):
            # As bytes: names that are not UTF-8 are names too.
            self._paths = tf.constant([os.fsencode(path) for path in paths])

    def _read(self, row: tf.Tensor) -> tf.Tensor:
        return tf.io.read_file(tf.gather(self._paths, row))

    def _describe(self, row: int) -> str:
        return os.fsdecode(self._paths[row].numpy())


def _label_ids(root: str, left_out: LeftOut) -> list[str]:
    label_ids = []
    with os.scandir(root) as entries:
        for entry in entries:
            if left_out.is_system(entry.name):
                continue
            if entry.is_dir():
                label_ids.append(entry.name)
            else:
                left_out.add_file_beside_labels(entry.name)
    return sorted(label_ids)


def _image_files(directory: str, left_out: LeftOut) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            # Links to folders are not followed below the label, where they could lead in circles.
            if entry.is_dir(follow_symlinks=False):
                if not left_out.is_system(entry.name):
                    yield from _image_files(entry.path, left_out)
            elif left_out.is_image(entry.name):
                yield entry.path
