"""What labels are to the models of a run."""

import dataclasses
import functools

import numpy as np

from devise_tf import text
from devise_tf.config import Settings
from devise_tf.labels import WordSpace
from devise_tf.labels.coverage import label_coverage
from devise_tf.model_dir import Entry, ModelDir
from devise_tf.training.inputs import Inputs


class RunLabels:
    """What labels are to the models of a run, made of the term vectors of phase 1; they are read once.

    Args:
        inputs: `Inputs`. Labels and images.
        model_dir: `ModelDir`. The directory with the term vectors.

    Attributes:
        labels: `LabelSet`. The labels.
    """

    def __init__(self, inputs: Inputs, model_dir: ModelDir):
        if inputs.labels is None:
            raise ValueError("`inputs` must have images, whose labels these are. Received: inputs without images")
        self.inputs, self.model_dir, self.labels = inputs, model_dir, inputs.labels

    @functools.cached_property
    def _terms(self) -> tuple[list[str], np.ndarray]:
        terms = self.labels.term_filter(self.inputs.tokenizer)
        return text.load_vectors(self.model_dir.needed(Entry.VECTORS), terms=terms, max_bad_rows=0)

    def words(self, config: Settings) -> WordSpace:
        """What labels are to models whose label vectors are those of first terms."""
        terms, vectors = self._terms
        return WordSpace(terms, vectors, missing=config.missing_labels, tokenizer=self.inputs.tokenizer)

    def space(self, config: Settings) -> WordSpace:
        """What labels are to a model of these settings."""
        space = dataclasses.replace(self.words(config), label_terms=config.label_terms)
        if not config.label_profiles:
            return space
        known = set(space.table(self.labels).ids)
        trained = self.labels.select([label for label in self.inputs.seen if label in known])
        return space.with_profile(trained, config.profile_temperature)

    def coverage(self, config: Settings) -> str:
        """How many labels have vectors, and which have none, as a table and a list."""
        coverage = label_coverage(self.labels, self.words(config).index)
        images = {label: count for label, count in self.inputs.source("train").counts().items() if count}
        return f"Labels and their vectors\n{coverage.table(images)}\n{coverage.listing(self.labels)}"
