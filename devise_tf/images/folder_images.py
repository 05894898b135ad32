import os

import numpy as np
import tensorflow as tf

from devise_tf.images.image_source import ImageSource

_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp")


class FolderImages(ImageSource):
    """Image files in folders named after their labels: `directory/split/label/**/*.jpg`.

    Labels and files are sorted by name. Files are taken by their suffix (jpg, jpeg, png, gif, bmp, in capitals too),
    hidden ones left out; label folders without images are labels still.

    Args:
        directory: The folder that holds the splits.
        split: `"train"` or `"val"`.
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
        with os.scandir(root) as entries:
            label_ids = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        paths, labels = [], []
        for label, label_id in enumerate(label_ids):
            found = sorted(_image_files(os.path.join(root, label_id)))
            paths += found
            labels += [label] * len(found)
        if not paths:
            raise ValueError(
                f"The image folder must hold images ({', '.join(_SUFFIXES)}) in folders named after their labels; "
                f"there are none. Received: {root}"
            )
        super().__init__(label_ids, np.array(labels, "int32"), root)
        with tf.init_scope(), tf.device("CPU:0"):
            # As bytes: names that are not UTF-8 are names too.
            self._paths = tf.constant([os.fsencode(path) for path in paths])

    def _read(self, row):
        return tf.io.read_file(tf.gather(self._paths, row))

    def _describe(self, row):
        return os.fsdecode(self._paths[row].numpy())


def _image_files(directory):
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            # Links to folders are not followed below the label, where they could lead in circles.
            if entry.is_dir(follow_symlinks=False):
                yield from _image_files(entry.path)
            elif entry.name.lower().endswith(_SUFFIXES):
                yield entry.path
