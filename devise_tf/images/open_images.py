"""Opens the images that a command line names."""

from devise_tf import small_world
from devise_tf.choices import VAL_SHARE
from devise_tf.images.folder_images import FolderImages
from devise_tf.images.image_source import ImageSource
from devise_tf.images.tfds_images import TFDSImages
from devise_tf.tfds_sets import prepared_builder


def open_images(spec: str, split: str, data_dir: str | None = None, val_share: float = VAL_SHARE) -> ImageSource:
    """Opens the images that a command line names.

    Args:
        spec: String. `"folder:DIR"`, image files in `DIR/<split>/<label>/` or `DIR/<label>/`; `"tfds:NAME"`, an image
            classification set of TensorFlow Datasets, which is prepared if necessary; or `"builtin"`, the small world,
            drawn on demand.
        split: String. `"train"` or `"val"`.
        data_dir: String or None. Folder of TensorFlow Datasets; by default `~/tensorflow_datasets`.
        val_share: Float. Of images in `DIR/<label>/`, the share that is `"val"`.

    Raises:
        ValueError: `spec` or `split` is not one of these, or there are no such images.
    """
    if split not in ("train", "val"):
        raise ValueError(f"`split` must be 'train' or 'val'. Received: split={split!r}")
    kind, _, name = spec.partition(":")
    if kind == "folder" and name:
        return FolderImages(name, split, val_share)
    if (kind == "tfds" and name) or spec == "builtin":
        if kind == "tfds":
            return TFDSImages(prepared_builder(name, data_dir, "array_record"), split)
        return TFDSImages(small_world.prepare(data_dir), split)
    raise ValueError(f"`spec` must be 'folder:DIR', 'tfds:NAME' or 'builtin'. Received: spec={spec!r}")
