"""Exports: versions of a SavedModel, built, checked and published."""

import dataclasses
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow.core.protobuf import saved_model_pb2

import devise_tf
from devise_tf.export.label_space import LabelSpace, TrainedLabels, WordVectorLabels
from devise_tf.export.publish import newest_version, publish
from devise_tf.export.served_model import Batching, ServedModel
from devise_tf.export.verify import MANIFEST_FILE, XLA_ATTRIBUTE, checksums, verify_in_fresh_process
from devise_tf.export.warmup import warmup_inputs, write_warmup
from devise_tf.labels import LabelSet, LabelVectors, make_label_vectors
from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.models.devise import DeViSE
from devise_tf.models.known_labels import term_columns, trained_columns
from devise_tf.models.trained_run import TrainedRun, open_run
from devise_tf.packaged import packaged_files
from devise_tf.text import load_vectors, tokenize

ANSWERS = ("terms", "ids")
LABELS_FILE = "assets.extra/labels.txt"
_TERMS_FILE = "terms.txt"


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
        if self.answers not in ANSWERS:
            raise ValueError(f"`answers` must be one of {ANSWERS}. Received: answers={self.answers!r}")
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
            terms_file = os.path.join(scratch, _TERMS_FILE)
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


def write_version(model: ServedModel, labels: LabelSet, directory: str, facts: Mapping[str, object]) -> None:
    """Writes a model with its warm-up, labels and manifest into a directory, and checks it in a fresh process.

    Args:
        model: The model.
        labels: The labels that it answers, in the order of `model.labels.texts`.
        directory: An empty local directory.
        facts: More entries of the manifest.

    Raises:
        VerificationError: It does not run as it should.
    """
    signatures = model.signatures()
    requests = warmup_inputs([terms[0] for terms in labels.terms], model.image_size)
    # The model's own answers, before it is saved; as exact as a CPU's, with which they will be compared.
    with tf.device("CPU:0"):
        expected = [signatures[name](**inputs) for name, inputs in requests]
    tf.saved_model.save(model, directory, signatures)
    _without_xla(directory)
    manifest = {
        **facts,
        "image_size": model.image_size,
        "resize_size": model.resize_size,
        "preprocessing": "RGB 0..255; shorter side to resize_size (bilinear, antialiased); centre cut to image_size",
        "k": model.k,
        "dimension": int(expected[1]["embedding"].shape[1]),
        "terms": int(model.labels.table.size()),
    }
    _finish(directory, labels, requests, expected, manifest)


def relabel(export_dir: str, labels_file: str, vectors: str = "", missing: str = "") -> str:
    """Publishes a version like the newest one that answers other labels, without the training run.

    Args:
        export_dir: Base path, or the path of one version of it.
        labels_file: File of the labels, see `LabelSet.load`.
        vectors: Vector file, or name of packaged vectors, of the space that the model was trained in, for terms that
            the export has not. By default the packaged ones where they are of that space. A softmax has no vectors:
            its labels are among those that it was trained on.
        missing: What to do about labels without a vector, see `make_label_vectors`; by default what the export did.

    Returns:
        The path of the new version.

    Raises:
        ValueError: A label has no vector, `vectors` are of another space, or the version was changed after it was made.
    """
    labels = LabelSet.load(labels_file)
    source = newest_version(export_dir)
    base = source.rpartition("/")[0]

    def build(directory):
        manifest = _fetch(source, directory)
        terms_file = os.path.join(directory, "assets", _TERMS_FILE)
        with open(terms_file, encoding="utf-8") as file:
            terms = file.read().splitlines()
        prefix = os.path.join(directory, "variables", "variables")
        checkpoint = tf.train.load_checkpoint(prefix)
        names = {key.split("/")[1]: key for key in checkpoint.get_variable_to_shape_map() if key.startswith("labels/")}
        if manifest["model"] == "softmax":
            if vectors:
                raise ValueError(f"A softmax has no label vectors: leave `vectors` out. Received: {vectors=}")
            columns = dict(zip(terms, checkpoint.get_tensor(names["term_columns"]).tolist(), strict=True))
            found = _trained_columns(labels, manifest["outputs"], columns)
            kept, changed = labels, {names["label_columns"]: np.array(found, np.int32)}
        else:
            own_vectors = checkpoint.get_tensor(names["term_vectors"])
            space = _space((terms, own_vectors), vectors, labels)
            profile = None
            if "references" in names:
                references = checkpoint.get_tensor(names["references"])
                profile = SimilarityProfile(references, manifest["profile_temperature"])
            # Early versions do not say what label vectors are made of.
            label_terms = manifest.get("label_terms", "first")
            kept, label_vectors = _with_vectors(
                labels,
                make_label_vectors(labels, *space, missing or manifest["missing_labels"], label_terms, profile),
            )
            # What is answered can be asked for, too.
            known = set(terms)
            new = [row for row in _usable(*space, labels.names(), 0) if space[0][row] not in known]
            with open(terms_file, "a", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{space[0][row]}\n" for row in new)
            manifest["terms"] = len(terms) + len(new)
            changed = {
                names["label_vectors"]: label_vectors,
                names["term_vectors"]: np.concatenate([own_vectors, space[1][new]]),
            }
        changed[names["texts"]] = _encoded(answer_texts(kept, manifest["answers"]))
        _rewrite(checkpoint, prefix, changed)
        requests = warmup_inputs([terms[0] for terms in kept.terms], manifest["image_size"])
        with tf.device("CPU:0"):
            loaded = tf.saved_model.load(directory)
            expected = [loaded.signatures[name](**_tensors(inputs)) for name, inputs in requests]
        _finish(directory, kept, requests, expected, manifest)

    return publish(base, build)


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
        _trained_columns(labels, run.seen, columns),
        list(columns),
        list(columns.values()),
        len(run.seen),
        terms_file,
    )
    return label_space, labels, {"outputs": run.seen}


def _word_vector_labels(run, network, labels, settings, terms_file) -> tuple[LabelSpace, LabelSet, dict[str, object]]:
    """What labels are to a model whose embeddings are in the space of words; see `_softmax_labels`."""
    trained = network if isinstance(network, DeViSE) else None
    label_terms = "first" if trained is None else trained.label_terms
    missing = settings.missing_labels or run.flags.get("missing_labels", "compose")
    found = run.label_vectors(settings.model, trained, labels, missing)
    labels, label_vectors = _with_vectors(labels, found)
    terms, vectors = run.term_vectors(settings.model)
    kept = _usable(terms, vectors, labels.names(), settings.max_terms)
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


def _usable(terms: Sequence[str], vectors: np.ndarray, names: Collection[str], others: int) -> list[int]:
    """Rows of the terms to export: those of `names`, and the first `others` beside them."""
    # A term that no text can become, such as one in capitals, would never be found; a zero vector has no direction.
    usable, kept = vectors.any(axis=1), []
    for row, term in enumerate(terms):
        wanted = term in names
        if usable[row] and (wanted or others > 0) and "_".join(tokenize(term)) == term:
            kept.append(row)
            others -= not wanted
    return kept


def _with_vectors(labels: LabelSet, found: LabelVectors) -> tuple[LabelSet, np.ndarray]:
    """The labels that have a vector, and the vectors."""
    if found.missing:
        logging.warning("%d labels without a vector are left out: %s", len(found.missing), found.missing[:20])
    return labels.select(found.ids), found.vectors


def _trained_columns(labels: LabelSet, outputs: Sequence[str], columns: Mapping[str, int]) -> list[int]:
    """The softmax's output of each label, all of which must have one."""
    found = trained_columns(labels, outputs, columns)
    lost = [label for label, column in zip(labels.ids, found, strict=True) if column is None]
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(labels)} labels are not among those that the softmax was trained on, and it knows no "
            f"others. Received: {lost[:20]}"
        )
    return found


def _space(own, vectors, labels):
    """The terms and vectors that new labels are looked up in: of the space that the model was trained in."""
    # Beside the labels' own, some that both have, to compare.
    needed = labels.names() | set(own[0][:2000])
    for path in [vectors] if vectors else packaged_files("vectors").values():
        terms, rows = load_vectors(path, terms=needed)
        scale = _scale(own, (terms, rows))
        if scale:
            # What the export has stays as it is: labels keep their vectors.
            known = set(own[0])
            new = [row for row, term in enumerate(terms) if term not in known]
            return [*own[0], *(terms[row] for row in new)], np.concatenate([own[1], scale * rows[new]])
    if vectors:
        raise ValueError(
            "`vectors` are of another space than those that the model was trained with: an image's embedding means "
            f"nothing there. Take vectors of that run. Received: {vectors=}, dimension {rows.shape[1]}"
        )
    return own


def _scale(own, other) -> float:
    """How much longer own vectors are than others of the same space; 0 for those of another space.

    They are of one space if terms that both have point in the same direction.
    """
    index = {term: row for row, term in enumerate(own[0])}
    pairs = np.array([(index[term], row) for row, term in enumerate(other[0]) if term in index], int).reshape(-1, 2)
    if not len(pairs) or own[1].shape[1] != other[1].shape[1]:
        return 0.0
    first, second = own[1][pairs[:, 0]], other[1][pairs[:, 1]]
    lengths = np.maximum(np.linalg.norm(first, axis=1), 1e-30), np.maximum(np.linalg.norm(second, axis=1), 1e-30)
    cosines = np.sum(first * second, axis=1) / (lengths[0] * lengths[1])
    return float(np.median(lengths[0] / lengths[1])) if np.median(cosines) > 0.99 else 0.0


def _fetch(source: str, directory: str) -> dict:
    """Copies a version but for what a new one has of its own; returns its manifest."""
    with tf.io.gfile.GFile(f"{source}/{MANIFEST_FILE}") as file:
        manifest = json.load(file)
    # The fingerprint is of the old variables, and TensorFlow has no public way to make one.
    names = [n for n in manifest["files"] if not n.startswith("assets.extra/") and n != "fingerprint.pb"]
    for name in names:
        target = os.path.join(directory, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        tf.io.gfile.copy(f"{source}/{name}", target)
    if checksums(directory) != {name: manifest["files"][name] for name in names}:
        raise ValueError(f"This version was changed after it was made: export the model again. Received: {source}")
    return manifest


def _rewrite(checkpoint, prefix: str, changed: Mapping[str, np.ndarray]) -> None:
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


def _without_xla(directory: str) -> None:
    """Takes back what makes functions need XLA, which Keras asks for in grouped convolutions.

    Stock TF Serving has XLA for CPUs switched off and refuses such functions; the kernels without it give the same.
    """
    path = os.path.join(directory, "saved_model.pb")
    with open(path, "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    found = [
        attributes
        for function in saved.meta_graphs[0].graph_def.library.function
        for attributes in (function.attr, *(node.attr for node in function.node_def))
        if XLA_ATTRIBUTE in attributes
    ]
    for attributes in found:
        del attributes[XLA_ATTRIBUTE]
    if found:
        with open(path, "wb") as file:
            file.write(saved.SerializeToString(deterministic=True))


def _finish(directory, labels, requests, expected, manifest) -> None:
    records = write_warmup(directory, requests)
    labels.save(os.path.join(directory, LABELS_FILE))
    manifest = {
        **manifest,
        "labels": len(labels),
        "warmup_records": records,
        "devise_tf": devise_tf.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "files": checksums(directory),
    }
    with open(os.path.join(directory, MANIFEST_FILE), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.write("\n")
    with tempfile.TemporaryDirectory(prefix="devise_tf-export-") as scratch:
        path = os.path.join(scratch, "expected.npz")
        outputs = {
            f"{number}/{name}": _plain(value.numpy())
            for number, answer in enumerate(expected)
            for name, value in answer.items()
        }
        np.savez(path, **outputs)
        verify_in_fresh_process(directory, path)


def _plain(value: np.ndarray) -> np.ndarray:
    """Strings as NumPy's own kind, which needs no pickle."""
    return value.astype("S") if value.dtype == object else value


def _encoded(texts: Sequence[str]) -> np.ndarray:
    return np.array([text.encode() for text in texts], object)


def _tensors(inputs):
    return {name: tf.constant(value) for name, value in inputs.items()}
