"""Images: where they come from, their order, and the way to `tf.data`."""

from devise_tf.images.bad_images import BadImages
from devise_tf.images.decode_image import decode_image
from devise_tf.images.example_order import ExampleOrder
from devise_tf.images.image_dataset import image_dataset
from devise_tf.images.image_input import Crop, ImageInput
from devise_tf.images.image_source import ImageSource
from devise_tf.images.open_images import open_images

__all__ = [
    "BadImages",
    "Crop",
    "ExampleOrder",
    "ImageInput",
    "ImageSource",
    "decode_image",
    "image_dataset",
    "open_images",
]
