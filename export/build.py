"""Exports of a trained model: versions of a SavedModel, built, checked and published."""

import dataclasses
import os
import tempfile
from collections import Counter

from absl import logging

from devise_tf.choices import EXPORTED_ANSWERS
from devise_tf.export.label_graph import label_graph
from devise_tf.export.manifest import TERMS_FILE
from devise_tf.export.publish import publish
from devise_tf.export.served_model import Batching, ServedModel
from devise_tf.export.write_version import write_version
from devise_tf.labels import LabelSet, LabelTable
from devise_tf.labels.open_labels import open_labels
from devise_tf.models.sources import open_run


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """What an export of a model directory holds.

    Attributes:
        model: str. `"devise"` or another model of phase 3 that the run has, such as `"l2"`; `"softmax"`, the network of
            phase 2, which knows its trained labels only; or `"conse"`, the average of the vectors of the softmax's ten
            most probable labels (labels without a vector are passed over). No random embeddings: they know no words. By
            default `"devise"`, or what a preset answers with.
        labels: str. File of the labels that are answered; by default all of the run's, unseen ones included.
        answers: str. `"terms"` or `"ids"`: whether answers are the labels' first terms or their ids.
        k: int. Number of labels that `serving_default` answers.
        max_terms: int. Most terms, beside those of the labels, that requests may name: the most frequent ones. Where
            there is a penalty, those of the trained labels are there too.
        batching: Batching. In-graph batching, or None.
        missing_labels: str. What to do about labels without a vector; see `WordSpace`. By default what the run did.
        penalty: float or None. What trained labels lose of their scores beside others, in place of the model's own; see
            `devise_tf.labels.Penalty`.

    Raises:
        ValueError: A setting is out of range.
    """

    model: str = ""
    labels: str = ""
    answers: str = "terms"
    k: int = 5
    max_terms: int = 100_000
    batching: Batching | None = None
    missing_labels: str = ""
    penalty: float | None = None

    def __post_init__(self) -> None:
        if self.answers not in EXPORTED_ANSWERS:
            raise ValueError(f"`answers` must be one of {EXPORTED_ANSWERS}. Received: answers={self.answers!r}")
        if self.k < 1 or self.max_terms < 0:
            raise ValueError(
                f"`k` must be at least 1 and `max_terms` at least 0. Received: k={self.k}, max_terms={self.max_terms}"
            )


def export_model(model_dir: str, export_dir: str, settings: ExportSettings | None = None) -> str:
    """Exports a trained model as the next version under `export_dir`.

    Labels are scored as evaluation scores label vectors. What these are made of in training, terms and profiles of
    similarities, those of the answered labels are made of, too, and those of labels that requests name.

    Args:
        model_dir: str. Model directory of a run that has finished the phases that are needed, or name of a preset.
        export_dir: str. Base path, local or one that `tf.io.gfile` reaches.
        settings: ExportSettings. What the export holds.

    Returns:
        The path of the version.

    Raises:
        ValueError: The model directory lacks something, or there is no such model; the message names it.
        VerificationError: The version does not run as it should; nothing is published.
    """
    settings, run = settings or ExportSettings(), open_run(model_dir)
    model = run.answering(settings.model, settings.penalty)
    labels = open_labels(settings.labels) if settings.labels else model.labels
    texts = answer_texts(labels, settings.answers)
    if len(set(texts)) < len(texts):
        repeated = sorted(text for text, count in Counter(texts).items() if count > 1)
        logging.warning("Several labels answer the same; answers='ids' tells them apart: %s", repeated[:20])

    def build(directory: str) -> None:
        space = model.open_space(missing=settings.missing_labels)
        table = space.table(labels)
        warn_of_unknown(table)
        texts = answer_texts(table.labels, settings.answers)
        with tempfile.TemporaryDirectory(prefix="devise_tf-export-") as scratch:
            terms_file = os.path.join(scratch, os.path.basename(TERMS_FILE))
            served = ServedModel(
                model.network,
                label_graph(space, table, texts, terms_file, settings.max_terms),
                run.crop,
                settings.k,
                settings.batching,
            )
            facts = {"model": model.name, "answers": settings.answers, **space.facts()}
            write_version(served, table.labels, directory, facts, space.tokenizer.model)

    return publish(export_dir, build)


def answer_texts(labels: LabelSet, answers: str) -> list[str]:
    """What stands for the labels in answers: their first terms, or their ids."""
    return list(labels.ids) if answers == "ids" else [terms[0] for terms in labels.terms]


def warn_of_unknown(table: LabelTable) -> None:
    """Logs which labels are left out."""
    if table.unknown:
        total = len(table.unknown)
        logging.warning("%d labels that the model does not know are left out: %s", total, table.unknown[:20])
