"""Settings of the images and their labels."""

import dataclasses

from devise_tf.choices import MISSING_LABELS, VAL_SHARE
from devise_tf.config.setting import SettingsGroup, setting


@dataclasses.dataclass(frozen=True)
class ImageSettings(SettingsGroup):
    """The images and their labels. Each field's meaning is its help text."""

    images: str = setting(
        "", "Images: folder:DIR (DIR/train/LABEL/*.jpg, DIR/val/..., or DIR/LABEL/*.jpg), tfds:NAME, or builtin."
    )
    val_share: float = setting(
        VAL_SHARE, "Of folder:DIR without train and val, the share of the files that is measured.", later=True
    )
    labels_file: str = setting(
        "",
        "Lists of labels, comma-separated: lines of ids and terms, CSV, JSON, YAML, Python. Else ids are terms.",
        formerly="labels",
    )
    unseen_labels: str = setting("", "File of label ids, one a line, that no image phase may see: zero-shot.")
    validation_labels: str = setting(
        "", "File of label ids that are held out too, to choose settings by: the report has them for the unseen ones."
    )
    hierarchy: str = setting(
        "", "For hierarchical precision: a file of `parent child` lines, wordnet, wordnet:DIR, imagenet or cifar100."
    )
    missing_labels: str = setting(
        "compose",
        f"Labels without a vector. {'. '.join(f'{name}: {choice.help}' for name, choice in MISSING_LABELS.items())}.",
        tuple(MISSING_LABELS),
    )
    image_size: int = setting(56, "Side of the crops, pixels.", positive=True)
    resize_size: int = setting(64, "Shorter side of the image that the crops are cut from, pixels.")
    max_bad_images: float = setting(0.05, "Share of unreadable images, 0 to 1, above which the run stops.")

    def check(self) -> None:
        super().check()
        if self.max_bad_images > 1:
            raise ValueError(f"`max_bad_images` must not be above 1. Received: max_bad_images={self.max_bad_images}")
        if self.val_share >= 1:
            raise ValueError(f"`val_share` must be below 1. Received: val_share={self.val_share}")
        if self.resize_size < self.image_size:
            raise ValueError(
                "`resize_size` must not be smaller than `image_size`. "
                f"Received: resize_size={self.resize_size}, image_size={self.image_size}"
            )
