"""The vectors and labels that the flags of `python -m devise_tf.vectors` name."""

import sys
import time
from collections.abc import Callable

from absl import flags

from devise_tf.choices import MISSING_LABELS_OF_ANSWERS
from devise_tf.labels.label_set import LabelSet
from devise_tf.labels.label_table import LabelTable
from devise_tf.labels.open_labels import open_hierarchy, open_labels
from devise_tf.labels.word_space import WordSpace
from devise_tf.labels.wordnet import wordnet_names
from devise_tf.model_dir import Entry, ModelDir
from devise_tf.packaged import packaged_files
from devise_tf.text.term_vectors import TermVectors
from devise_tf.text.vector_source import find_vectors


def find_source(vectors: str | None, model_dir: str | None) -> str:
    """The path of the vectors of a file, a model directory, or the package.

    Raises:
        ValueError: Both are given, or neither is and the package has no vectors or several.
        FileNotFoundError: There is no such file.
    """
    if vectors and model_dir:
        raise ValueError(f"Give --vectors or --model_dir, not both. Received: {vectors=}, {model_dir=}")
    if model_dir:
        run = ModelDir(model_dir)
        if not run.has(Entry.VECTORS):
            raise FileNotFoundError(
                f"The model directory holds no {Entry.VECTORS}: its phase 1 has not finished. Received: {model_dir=}"
            )
        return run.path(Entry.VECTORS)
    if vectors:
        return find_vectors(vectors)
    packaged = packaged_files("vectors")
    if len(packaged) != 1:
        raise ValueError(
            f"Name the vectors with --vectors=FILE, --vectors=NAME or --model_dir=DIR. The package comes with "
            f"{', '.join(packaged) or 'none'}. Received: none of the three"
        )
    return next(iter(packaged.values()))


def load_source(values: flags.FlagValues) -> TermVectors:
    """The vectors of --vectors, --model_dir or the package."""
    source = find_source(values.vectors, values.model_dir)
    return TermVectors.load(source, progress_line("Reading"), values.max_bad_rows)


def named_labels(values: flags.FlagValues) -> LabelSet | None:
    """The labels of --labels_file or of the model directory, None where flags name neither."""
    if values.labels_file:
        return open_labels(values.labels_file)
    path = None if values.limit else _model_dir_file(values, Entry.LABELS)
    return LabelSet.load(path) if path else None


def load_labels(values: flags.FlagValues) -> LabelSet:
    """The labels of --labels_file or of the model directory."""
    labels = named_labels(values)
    if labels is None:
        raise ValueError("This needs the labels: --labels_file=FILE, or a --model_dir that has them. Received: none")
    return labels


def label_columns(labels: LabelSet, values: flags.FlagValues) -> tuple[LabelTable, dict[str, list[str]]]:
    """The vectors of the labels that have one, and columns of text about these labels."""
    vectors = load_source(values)
    tokenizer = vectors.index.tokenizer
    space = WordSpace(vectors.terms, vectors.vectors, missing=MISSING_LABELS_OF_ANSWERS, tokenizer=tokenizer)
    result = space.table(labels)
    if result.unknown:
        print(f"{len(result.unknown)} of {len(labels)} labels have no vector and are ignored.", file=sys.stderr)
    columns = {"term": [labels.terms[labels.index[label]][0] for label in result.ids], "label": result.ids}
    source = values.hierarchy or _model_dir_file(values, Entry.HIERARCHY)
    return result, columns | (_group_columns(labels, result.ids, source, values) if source else {})


def _group_columns(labels: LabelSet, ids: list[str], source: str, values: flags.FlagValues) -> dict[str, list[str]]:
    """Each label's group and its three highest ancestors in a hierarchy."""
    from devise_tf.evaluation.report.label_groups import group_names, label_groups, top_ancestors

    kind, _, folder = source.partition(":")
    hierarchy = open_hierarchy(source)
    if not any(label in hierarchy for label in ids):
        raise ValueError(f"None of the labels is in the hierarchy. Received: {ids[:5]}, hierarchy={source}")
    # WordNet, where it is installed, names synsets; names from a file have precedence.
    names = wordnet_names(folder if kind == "wordnet" and folder else None)
    for label_set in [labels, open_labels(values.names, "names")] if values.names else [labels]:
        names |= {label: terms[0] for label, terms in zip(label_set.ids, label_set.terms, strict=True)}
    groups = group_names(label_groups(ids, hierarchy, values.groups), names)
    ancestors = top_ancestors(ids, hierarchy)
    columns = {"group": [groups[label] for label in ids]}
    for level in range(3):
        columns[f"ancestor {level + 1}"] = [
            names.get(ancestors[label][level], ancestors[label][level]) for label in ids
        ]
    return columns


def progress_line(what: str) -> Callable[[int, int], None]:
    """A line that shows how far something is, once it takes more than three seconds."""
    start = shown = time.monotonic()
    finished = False

    def show(done: int, total: int) -> None:
        nonlocal shown, finished
        now = time.monotonic()
        # A compressed or buffered file is read to its end before its last rows are.
        if not finished and now - start > 3 and (now - shown > 1 or done >= total):
            shown, finished = now, done >= total
            print(f"\r{what}: {done / max(total, 1):4.0%}", end="\n" if finished else "", file=sys.stderr, flush=True)

    return show


def _model_dir_file(values: flags.FlagValues, entry: Entry) -> str | None:
    run = ModelDir(values.model_dir) if values.model_dir else None
    return run.path(entry) if run and run.has(entry) else None
