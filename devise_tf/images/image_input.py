"""What travels together on the way to pixels."""

import dataclasses

from devise_tf.images.bad_images import BadImages
from devise_tf.images.decode_image import check_sizes
from devise_tf.images.image_source import ImageSource


@dataclasses.dataclass(frozen=True)
class Crop:
    """The square that is cut out of every image.

    Attributes:
        image_size: int. Side of the square, pixels.
        resize_size: int. Shorter side of the resized image that the square is cut from, pixels.

    Raises:
        ValueError: `image_size` is below 1 or above `resize_size`.
    """

    image_size: int
    resize_size: int

    def __post_init__(self):
        check_sizes(self.image_size, self.resize_size)


@dataclasses.dataclass(frozen=True)
class ImageInput:
    """Images as a network takes them.

    Attributes:
        source: ImageSource. The image files and their labels.
        crop: Crop. What is cut out of them.
        bad_images: BadImages. Is told of every unreadable image.
    """

    source: ImageSource
    crop: Crop
    bad_images: BadImages
