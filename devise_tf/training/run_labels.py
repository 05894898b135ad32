"""What labels are to the models of a run."""

import dataclasses
import functools

import numpy as np

from devise_tf import text
from devise_tf.config import Settings
from devise_tf.labels import WordSpace
from devise_tf.labels.coverage import label_coverage
from devise_tf.labels.described_vectors import describe_labels
from devise_tf.labels.descriptions import Descriptions
from devise_tf.model_dir import Entry, ModelDir
from devise_tf.text.joined_vectors import load_joined_vectors, term_shares
from devise_tf.text.vector_file import load_terms
from devise_tf.text.vector_source import find_vectors
from devise_tf.text.vector_tokenizer import save_tokenizer
from devise_tf.training.context import RunContext
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

    @functools.cached_property
    def _with_described(self) -> tuple[list[str], np.ndarray, frozenset[str]]:
        paths = [self.model_dir.needed(entry) for entry in (Entry.DESCRIBED, Entry.VECTORS)]
        terms = self.labels.term_filter(self.inputs.tokenizer)
        return *load_joined_vectors(paths, terms), frozenset(load_terms(paths[0]))

    def words(self, config: Settings) -> WordSpace:
        """What labels are to models whose label vectors are those of first terms."""
        described: frozenset[str] = frozenset()
        if config.descriptions:
            terms, vectors, described = self._with_described
        else:
            terms, vectors = self._terms
        missing, tokenizer = config.missing_labels, self.inputs.tokenizer
        return WordSpace(terms, vectors, missing=missing, tokenizer=tokenizer, described=described)

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


def make_described_vectors(run: RunContext, inputs: Inputs) -> None:
    """Makes the vectors of the run's described labels, beside its term vectors."""
    descriptions = inputs.descriptions
    if descriptions is not None and not run.model_dir.has(Entry.DESCRIBED):
        run.by_chief(lambda: _describe(run, inputs, descriptions))


def _describe(run: RunContext, inputs: Inputs, descriptions: Descriptions) -> None:
    terms, vectors = text.load_vectors(run.model_dir.needed(Entry.VECTORS), max_bad_rows=0)
    if run.model_dir.has(Entry.VOCABULARY):
        counts = text.Vocabulary.load(run.model_dir.path(Entry.VOCABULARY)).counts
        shares = counts / counts.sum()
    else:
        shares = term_shares([find_vectors(run.config.vectors)], terms)
    words = WordSpace(terms, vectors, tokenizer=inputs.tokenizer)
    called, described, unknown = describe_labels(words, shares, descriptions, inputs.hierarchy, inputs.kinds())
    if unknown:
        run.say(f"{len(unknown)} described labels have no known word: {', '.join(unknown[:20])}")
    path = run.model_dir.path(Entry.DESCRIBED)
    save_tokenizer(path, inputs.tokenizer)
    text.save_vectors(path, called, described, "npz")
