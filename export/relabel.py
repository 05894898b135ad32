"""Other labels for an exported model, without the training run."""

import dataclasses
import os
import shutil
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from devise_tf.choices import MAX_BAD_ROWS
from devise_tf.export.build import answer_texts, warn_of_unknown
from devise_tf.export.manifest import TERMS_FILE, checksums, import_operations, read_manifest, version_tokenizer
from devise_tf.export.publish import newest_version, publish
from devise_tf.export.term_graph import term_keys
from devise_tf.export.warmup import warmup_inputs
from devise_tf.export.write_version import finish_version
from devise_tf.labels import LabelSet, LabelSpace, OutputSpace, Penalty, SimilarityProfile, WordSpace
from devise_tf.labels.label_rows import is_synset_id
from devise_tf.labels.open_labels import open_labels
from devise_tf.packaged import packaged_files
from devise_tf.text import load_vectors
from devise_tf.text.term_index import TermFilter
from devise_tf.text.tokenizer import Tokenizer

Terms = tuple[list[str], np.ndarray]  # and their vectors


def relabel(
    export_dir: str, labels_file: str, vectors: str = "", missing: str = "", max_bad_rows: int = MAX_BAD_ROWS
) -> str:
    """Publishes a version like the newest one that answers other labels, without the training run.

    Args:
        export_dir: str. Base path, or the path of one of the versions in it.
        labels_file: str. File of the labels, or several separated by commas; see `LabelSet.load`.
        vectors: str. Vector file, or name of packaged vectors, of the space that the model was trained in, for terms
            that the export does not have. By default the packaged vectors if they are of that space. A softmax has no
            vectors: its labels are among those that it was trained on.
        missing: str. What to do about labels without a vector; see `WordSpace`. By default what the export did.
        max_bad_rows: int. Most rows of `vectors` that may be left out because they cannot be read.

    Returns:
        The path of the new version.

    Raises:
        ValueError: A label has no vector, `vectors` are of another space, or the version was changed after its export.
    """
    labels = open_labels(labels_file)
    source = newest_version(export_dir)
    base = source.rpartition("/")[0]

    def build(directory: str) -> None:
        manifest = _fetch(source, directory)
        terms_file = os.path.join(directory, TERMS_FILE)
        with open(terms_file, encoding="utf-8") as file:
            keys = file.read().removesuffix("\n").split("\n")
        prefix = os.path.join(directory, "variables", "variables")
        checkpoint = tf.train.load_checkpoint(prefix)
        names = {key.split("/")[1]: key for key in checkpoint.get_variable_to_shape_map() if key.startswith("labels/")}
        tensors = {name: checkpoint.get_tensor(key) for name, key in names.items() if name != "texts"}
        tokenizer = version_tokenizer(source, tf.io.gfile.GFile)
        space = _space_of(manifest, tokenizer, keys, tensors, labels, vectors, missing, max_bad_rows)
        table = space.table(labels)
        warn_of_unknown(table)
        changed = {names.get("label_vectors") or names["label_columns"]: table.values}
        # Requests may name what is answered, too.
        if isinstance(space, WordSpace):
            known = _requestable(space, labels, len(tensors["term_vectors"]))
            keys, key_rows = term_keys(known.index, known.trained)
            with open(terms_file, "w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{key}\n" for key in keys)
            values = {"term_vectors": known.vectors, "key_rows": np.array(key_rows, np.int32)}
            if "head_rows" in names:
                values["head_rows"] = known.head_rows()
            if known.penalty is not None:
                values |= {"offsets": table.offsets, "trained_rows": known.trained_rows()}
            changed |= {names[name]: value for name, value in values.items() if name in names}
            manifest["terms"] = len(known.terms)
        changed[names["texts"]] = _encoded(answer_texts(table.labels, manifest["answers"]))
        _rewrite(checkpoint, prefix, changed)
        requests = warmup_inputs([terms[0] for terms in table.labels.terms], manifest["image_size"])
        with tf.device("CPU:0"):
            import_operations(source, tf.io.gfile.GFile)
            loaded = tf.saved_model.load(directory)
            expected = [loaded.signatures[name](**_tensors(inputs)) for name, inputs in requests]
        finish_version(directory, table.labels, requests, expected, manifest, tokenizer.model)

    return publish(base, build)


def _space_of(
    manifest: Mapping[str, Any],
    tokenizer: Tokenizer,
    keys: list[str],
    tensors: Mapping[str, np.ndarray],
    labels: LabelSet,
    vectors: str,
    missing: str,
    max_bad_rows: int,
) -> LabelSpace:
    """What labels are to the model of a version; with terms of `vectors` that the version does not have."""
    if "outputs" in manifest:
        if vectors:
            raise ValueError(f"A softmax has no label vectors: leave `vectors` out. Received: {vectors=}")
        # Early versions have them by another name.
        columns = tensors["key_rows" if "key_rows" in tensors else "term_columns"]
        by_term = dict(zip(keys, columns.tolist(), strict=True))
        return OutputSpace(manifest["outputs"], by_term, missing or "stop", tokenizer)
    profile = None
    if "references" in tensors:
        profile = SimilarityProfile(tensors["references"], manifest["profile_temperature"])
    rows = tensors.get("key_rows", np.arange(len(keys)))
    # Of the keys of a term the first is the term itself.
    first = {row: key for key, row in zip(reversed(keys), reversed(rows.tolist()), strict=True)}
    exported = [first[row] for row in range(len(tensors["term_vectors"]))], tensors["term_vectors"]
    terms, term_vectors = _extended(exported, vectors, labels.term_filter(tokenizer), max_bad_rows)
    missing = missing or manifest["missing_labels"]
    # Those that no word is added to, described labels among them.
    heads = tensors.get("head_rows", np.zeros(len(exported[0])))
    described = frozenset(
        term for term, head in zip(exported[0], heads, strict=True) if head == WordSpace.NO_HEAD or is_synset_id(term)
    )
    penalty = None
    if "penalty" in manifest:
        trained = manifest["trained_labels"]
        penalty = Penalty(manifest["penalty"], LabelSet(list(trained), list(trained.values())))
    return WordSpace(terms, term_vectors, manifest["label_terms"], profile, missing, tokenizer, described, penalty)


def _requestable(space: WordSpace, labels: LabelSet, num_exported: int) -> WordSpace:
    """The space of the exported terms, the first ones, and of those that the labels' vectors are made of."""
    wanted = labels.term_filter(space.tokenizer)
    rows = [row for row, term in enumerate(space.terms) if row < num_exported or term in wanted]
    return dataclasses.replace(space, terms=[space.terms[row] for row in rows], vectors=space.vectors[rows])


def _extended(exported: Terms, vectors: str, wanted: TermFilter, max_bad_rows: int) -> Terms:
    """The terms and vectors that new labels are looked up in: of the space that the model was trained in."""
    # Beside the terms of the labels some that both have, to compare: from all over, since described labels, which come
    # first, have vectors of their own.
    needed = _AnyOf(wanted, frozenset(exported[0][:: max(1, len(exported[0]) // 2000)]))
    for path in [vectors] if vectors else packaged_files("vectors").values():
        terms, rows = load_vectors(path, terms=needed, max_bad_rows=max_bad_rows)
        scale = _scale(exported, (terms, rows))
        if scale:
            # Terms of the export stay as they are: labels do not change their vectors.
            known = set(exported[0])
            new = [row for row, term in enumerate(terms) if term not in known]
            return [*exported[0], *(terms[row] for row in new)], np.concatenate([exported[1], scale * rows[new]])
    if vectors:
        raise ValueError(
            "`vectors` are of another space than those that the model was trained with: an image's embedding means "
            f"nothing there. Take vectors of that run. Received: {vectors=}, dimension {rows.shape[1]}"
        )
    return exported


@dataclasses.dataclass(frozen=True)
class _AnyOf:
    """A container of all that one of two containers has."""

    first: Container[str]
    second: Container[str]

    def __contains__(self, item: object) -> bool:
        return item in self.first or item in self.second


def _scale(exported: Terms, other: Terms) -> float:
    """How much longer the exported vectors are than others of the same space; 0 for those of another space.

    They are of one space if terms that both have point in the same direction.
    """
    index = {term: row for row, term in enumerate(exported[0])}
    pairs = np.array([(index[term], row) for row, term in enumerate(other[0]) if term in index], int).reshape(-1, 2)
    if not len(pairs) or exported[1].shape[1] != other[1].shape[1]:
        return 0.0
    first, second = exported[1][pairs[:, 0]], other[1][pairs[:, 1]]
    lengths = np.maximum(np.linalg.norm(first, axis=1), 1e-30), np.maximum(np.linalg.norm(second, axis=1), 1e-30)
    cosines = np.sum(first * second, axis=1) / (lengths[0] * lengths[1])
    return float(np.median(lengths[0] / lengths[1])) if np.median(cosines) > 0.99 else 0.0


def _fetch(source: str, directory: str) -> dict[str, Any]:
    """Copies the files that versions with other labels share; returns the manifest."""
    manifest = read_manifest(source, tf.io.gfile.GFile)
    # The fingerprint is of the old variables, and TensorFlow has no public way to make one.
    names = [n for n in manifest["files"] if not n.startswith("assets.extra/") and n != "fingerprint.pb"]
    for name in names:
        target = os.path.join(directory, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        tf.io.gfile.copy(f"{source}/{name}", target)
    if checksums(directory) != {name: manifest["files"][name] for name in names}:
        raise ValueError(f"This version was changed after its export: export the model again. Received: {source}")
    return manifest


def _rewrite(checkpoint: Any, prefix: str, changed: Mapping[str, np.ndarray]) -> None:
    """Writes the variables again, some with other values; the graph does not know how many labels there are."""
    names = sorted(checkpoint.get_variable_to_shape_map())
    values = [tf.constant(changed[name] if name in changed else checkpoint.get_tensor(name)) for name in names]
    folder = os.path.dirname(prefix)
    fresh = f"{folder}-fresh"
    os.mkdir(fresh)
    tf.raw_ops.SaveV2(
        prefix=os.path.join(fresh, "variables"), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values
    )
    shutil.rmtree(folder)
    os.rename(fresh, folder)


def _encoded(texts: Sequence[str]) -> np.ndarray:
    return np.array([text.encode() for text in texts], object)


def _tensors(inputs: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(value) for name, value in inputs.items()}
