"""Exports of a trained model: versions of a SavedModel, built, checked and published."""

import dataclasses
import os
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import keras
import numpy as np
from absl import logging

from devise_tf.choices import EXPORTED_ANSWERS
from devise_tf.export.label_space import LabelSpace, TrainedLabels, WordVectorLabels
from devise_tf.export.manifest import TERMS_FILE
from devise_tf.export.publish import publish
from devise_tf.export.served_model import Batching, ServedModel
from devise_tf.export.write_version import write_version
from devise_tf.labels import LabelSet, LabelVectors
from devise_tf.models.devise import DeViSE
from devise_tf.models.known_labels import term_columns, trained_columns
from devise_tf.models.trained_run import TrainedRun, open_run
from devise_tf.text import tokenize


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """What an export of a model directory holds.

    Attributes:
        model: `"devise"` or another model of phase 3 that the run has, such as `"l2"`; `"softmax"`, the network of
            phase 2, which knows its trained labels only; or `"conse"`, the average of the vectors of the softmax's ten
            most probable labels (labels without a vector are passed over). No random embeddings: they know no words. By
            default `"devise"`, or what a preset answers with.
        labels: File of the labels that are answered; by default all of the run's, unseen ones included.
        answers: Whether answers are the labels' first terms or their ids.
        k: Number of labels that `serving_default` answers.
        max_terms: Most terms that requests may name, those of the labels aside: the most frequent.
        batching: In-graph batching, or None.
        missing_labels: What to do about labels without a vector, see `make_label_vectors`; by default what the run did.
    """

    model: str = ""
    labels: str = ""
    answers: str = "terms"
    k: int = 5
    max_terms: int = 100_000
    batching: Batching | None = None
    missing_labels: str = ""

    def __post_init__(self):
        if self.answers not in EXPORTED_ANSWERS:
            raise ValueError(f"`answers` must be one of {EXPORTED_ANSWERS}. Received: answers={self.answers!r}")
        if self.k < 1 or self.max_terms < 0:
            raise ValueError(
                f"`k` must be at least 1 and `max_terms` at least 0. Received: k={self.k}, max_terms={self.max_terms}"
            )


def export_model(model_dir: str, export_dir: str, settings: ExportSettings | None = None) -> str:
    """Exports a trained model as the next version under `export_dir`.

    Labels are scored as evaluation scores label vectors. What these are made of in training, terms and profiles of
    similarities, those of the answered labels are made of, too. A label that a request names is a single term.

    Args:
        model_dir: Model directory of a run that has finished the phases that are needed, or name of a preset.
        export_dir: Base path, local or one that `tf.io.gfile` reaches.
        settings: What the export holds.

    Returns:
        The path of the version.

    Raises:
        ValueError: The model directory lacks something, or there is no such model; it is named.
        VerificationError: What was written does not run as it should; nothing is published.
    """
    settings, run = settings or ExportSettings(), open_run(model_dir)
    settings = dataclasses.replace(settings, model=settings.model or run.default_model)
    network = _network(run, settings.model)
    softmax = settings.model == "softmax"
    if settings.labels:
        labels = LabelSet.load(os.path.expanduser(settings.labels))
    else:
        labels = run.labels.select(run.seen) if softmax else run.labels
    texts = answer_texts(labels, settings.answers)
    if len(set(texts)) < len(texts):
        repeated = sorted(text for text, count in Counter(texts).items() if count > 1)
        logging.warning("Several labels answer the same; answers='ids' tells them apart: %s", repeated[:20])

    def build(directory):
        with tempfile.TemporaryDirectory(prefix="devise_tf-export-") as scratch:
            terms_file = os.path.join(scratch, os.path.basename(TERMS_FILE))
            if softmax:
                label_space, label_set, facts = _softmax_labels(run, labels, settings, terms_file)
            else:
                label_space, label_set, facts = _word_vector_labels(run, network, labels, settings, terms_file)
            model = ServedModel(
                network,
                label_space,
                softmax,
                run.size("image_size"),
                run.size("resize_size"),
                settings.k,
                settings.batching,
            )
            facts = {"model": settings.model, "answers": settings.answers, **facts}
            write_version(model, label_set, directory, facts)

    return publish(export_dir, build)


def answer_texts(labels: LabelSet, answers: str) -> list[str]:
    """What stands for the labels in answers: their first terms, or their ids."""
    return list(labels.ids) if answers == "ids" else [terms[0] for terms in labels.terms]


def _network(run: TrainedRun, name: str) -> keras.Model:
    """The network from pixels to embeddings, or to a softmax's logits."""
    # Random embeddings know no words: no request could name a label.
    known = ["devise", "softmax", "conse", *(n for n in run.networks() if not n.startswith("random_"))]
    if name not in known:
        raise ValueError(f"`model` must be one of {list(dict.fromkeys(known))}. Received: model={name!r}")
    if name != "conse":
        return run.network(name)
    return run.conse(run.network("softmax"))


def _softmax_labels(run, labels, settings, terms_file) -> tuple[LabelSpace, LabelSet, dict[str, object]]:
    """What labels are to a softmax, those that it answers, and facts for the manifest."""
    columns = term_columns(run.labels.select(run.seen))
    label_space = TrainedLabels(
        answer_texts(labels, settings.answers),
        columns_of(labels, run.seen, columns),
        list(columns),
        list(columns.values()),
        len(run.seen),
        terms_file,
    )
    return label_space, labels, {"outputs": run.seen}


def _word_vector_labels(run, network, labels, settings, terms_file) -> tuple[LabelSpace, LabelSet, dict[str, object]]:
    """What labels are to a model whose embeddings are in the space of words; see `_softmax_labels`."""
    trained = network if isinstance(network, DeViSE) else None
    label_terms = "first" if trained is None else trained.space_recipe.label_terms
    missing = settings.missing_labels or run.flags.get("missing_labels", "compose")
    found = run.label_vectors(settings.model, trained, labels, missing)
    labels, label_vectors = with_vectors(labels, found)
    terms, vectors = run.term_vectors(settings.model)
    kept = usable_terms(terms, vectors, labels.names(), settings.max_terms)
    label_space = WordVectorLabels(
        answer_texts(labels, settings.answers),
        label_vectors,
        [terms[row] for row in kept],
        vectors[kept],
        terms_file,
        label_terms == "heads",
        found.profile,
    )
    facts = {"missing_labels": missing, "label_terms": label_terms}
    if found.profile is not None:
        facts["profile_temperature"] = found.profile.temperature
    return label_space, labels, facts


def usable_terms(terms: Sequence[str], vectors: np.ndarray, names: Collection[str], others: int) -> list[int]:
    """Rows of the terms to export: those of `names`, and the first `others` beside them."""
    # A term that no text can become, such as one in capitals, would never be found; a zero vector has no direction.
    usable, kept = vectors.any(axis=1), []
    for row, term in enumerate(terms):
        wanted = term in names
        if usable[row] and (wanted or others > 0) and "_".join(tokenize(term)) == term:
            kept.append(row)
            others -= not wanted
    return kept


def with_vectors(labels: LabelSet, found: LabelVectors) -> tuple[LabelSet, np.ndarray]:
    """The labels that have a vector, and the vectors."""
    if found.missing:
        logging.warning("%d labels without a vector are left out: %s", len(found.missing), found.missing[:20])
    return labels.select(found.ids), found.vectors


def columns_of(labels: LabelSet, outputs: Sequence[str], columns: Mapping[str, int]) -> list[int]:
    """The softmax's output of each label, all of which must have one."""
    found = trained_columns(labels, outputs, columns)
    lost = [label for label, column in zip(labels.ids, found, strict=True) if column is None]
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(labels)} labels are not among those that the softmax was trained on, and it knows no "
            f"others. Received: {lost[:20]}"
        )
    return found
