"""Labels: their terms, their vectors and their hierarchy. NumPy only: nothing here imports TensorFlow."""

from devise_tf.labels.hierarchy import Hierarchy
from devise_tf.labels.label_set import LabelSet, load_ids
from devise_tf.labels.label_space import LabelSpace
from devise_tf.labels.label_table import LabelTable
from devise_tf.labels.output_space import OutputSpace
from devise_tf.labels.penalty import Penalty
from devise_tf.labels.random_space import RandomSpace
from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.labels.word_space import WordSpace

__all__ = [
    "Hierarchy",
    "LabelSet",
    "LabelSpace",
    "LabelTable",
    "OutputSpace",
    "Penalty",
    "RandomSpace",
    "SimilarityProfile",
    "WordSpace",
    "load_ids",
]
