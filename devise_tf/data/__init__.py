from devise_tf.data.decode_image import decode_image
from devise_tf.data.example_order import ExampleOrder
from devise_tf.data.hierarchy import Hierarchy
from devise_tf.data.image_dataset import BadImages, image_dataset
from devise_tf.data.image_source import ImageSource, open_images
from devise_tf.data.label_list_sizes import about_label_list
from devise_tf.data.label_set import LabelSet, load_ids
from devise_tf.data.label_vectors import LabelVectors, make_label_vectors, random_label_vectors

__all__ = [
    "BadImages",
    "ExampleOrder",
    "Hierarchy",
    "ImageSource",
    "LabelSet",
    "LabelVectors",
    "about_label_list",
    "decode_image",
    "image_dataset",
    "load_ids",
    "make_label_vectors",
    "open_images",
    "random_label_vectors",
]
