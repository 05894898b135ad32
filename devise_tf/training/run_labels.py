"""The vectors of a run's labels."""

import functools

import numpy as np

from devise_tf import text
from devise_tf.config import Settings
from devise_tf.labels import LabelVectors, make_label_vectors
from devise_tf.labels.coverage import LabelCoverage, label_coverage
from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.model_dir import Entry, ModelDir
from devise_tf.training.inputs import Inputs


class RunLabels:
    """The vectors of a run's labels, made of the terms that phase 1 left; they are read once.

    Args:
        inputs: `Inputs`. Labels and images.
        model_dir: `ModelDir`. The directory with the term vectors.
    """

    def __init__(self, inputs: Inputs, model_dir: ModelDir):
        self.inputs, self.model_dir = inputs, model_dir

    @functools.cached_property
    def _terms(self) -> tuple[list[str], np.ndarray]:
        return text.load_vectors(self.model_dir.needed(Entry.VECTORS), terms=self.inputs.labels.names())

    def vectors(self, config: Settings) -> LabelVectors:
        """The vectors of all labels, as these settings have them."""
        arguments = (*self._terms, config.missing_labels, config.label_terms)
        plain = make_label_vectors(self.inputs.labels, *arguments)
        if not config.label_profiles:
            return plain
        vectors = plain.by_label()
        references = np.stack([vectors[label] for label in self.inputs.seen if label in vectors])
        profile = SimilarityProfile(references, config.profile_temperature)
        return make_label_vectors(self.inputs.labels, *arguments, profile)

    def coverage(self) -> str:
        """What was found for the labels, as a table and a list."""
        labels = self.inputs.labels
        coverage: LabelCoverage = label_coverage(labels, self._terms[0])
        images = {label: count for label, count in self.inputs.source("train").counts().items() if count}
        return f"Labels and their vectors\n{coverage.table(images)}\n{coverage.listing(labels)}"
