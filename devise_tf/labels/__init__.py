"""Labels: their terms, their vectors and their hierarchy. NumPy only: nothing here imports TensorFlow."""

from devise_tf.labels.hierarchy import Hierarchy
from devise_tf.labels.label_set import LabelSet, load_ids
from devise_tf.labels.label_vectors import LabelVectors, make_label_vectors, random_label_vectors
from devise_tf.labels.similarity_profile import SimilarityProfile

__all__ = [
    "Hierarchy",
    "LabelSet",
    "LabelVectors",
    "SimilarityProfile",
    "load_ids",
    "make_label_vectors",
    "random_label_vectors",
]
