"""Exports: versions of a SavedModel, built, checked and published."""

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import devise_tf
from devise_tf.data import LabelSet, load_ids, make_label_vectors
from devise_tf.export.label_space import LabelSpace, TrainedLabels, WordVectorLabels
from devise_tf.export.publish import newest_version, publish
from devise_tf.export.served_model import Batching, ServedModel
from devise_tf.export.verify import MANIFEST_FILE, XLA_ATTRIBUTE, checksums, verify_in_fresh_process
from devise_tf.export.warmup import warmup_inputs, write_warmup
from devise_tf.models import devise, visual  # noqa: F401 (Keras finds their classes by name)
from devise_tf.text import load_vectors, tokenize
from devise_tf.text.packaged_vectors import packaged_vectors

MODELS = ("devise", "softmax")
ANSWERS = ("terms", "ids")
LABELS_FILE = "assets.extra/labels.txt"
_TERMS_FILE = "terms.txt"


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """What an export of a model directory holds.

    Attributes:
        model: `"devise"`, or `"softmax"`, the network of phase 2, which knows its trained labels only.
        labels: File of the labels that are answered; by default all of the run's, unseen ones included.
        answers: Whether answers are the labels' first terms or their ids.
        k: Number of labels that `serving_default` answers.
        max_terms: Most terms that requests may name, those of the labels aside: the most frequent.
        batching: In-graph batching, or None.
    """

    model: str = "devise"
    labels: str = ""
    answers: str = "terms"
    k: int = 5
    max_terms: int = 100_000
    batching: Batching | None = None

    def __post_init__(self):
        if self.model not in MODELS or self.answers not in ANSWERS:
            raise ValueError(
                f"`model` must be one of {MODELS} and `answers` one of {ANSWERS}. "
                f"Received: model={self.model!r}, answers={self.answers!r}"
            )
        if self.k < 1 or self.max_terms < 0:
            raise ValueError(
                f"`k` must be at least 1 and `max_terms` at least 0. Received: k={self.k}, max_terms={self.max_terms}"
            )


def export_model(model_dir: str, export_dir: str, settings: ExportSettings | None = None) -> str:
    """Exports a trained model as the next version under `export_dir`.

    Args:
        model_dir: Model directory of a run that has finished the phases that are needed.
        export_dir: Base path, local or one that `tf.io.gfile` reaches.
        settings: What the export holds.

    Returns:
        The path of the version.

    Raises:
        ValueError: The model directory lacks something; it is named.
        VerificationError: What was written does not run as it should; nothing is published.
    """
    settings = settings or ExportSettings()
    run = _Run(model_dir)
    network = run.network(settings.model)
    labels = run.labels(settings)

    def build(directory):
        with tempfile.TemporaryDirectory(prefix="devise_tf-export-") as scratch:
            terms_file = os.path.join(scratch, _TERMS_FILE)
            if settings.model == "softmax":
                label_space, label_set = run.trained_labels(labels, settings, terms_file)
            else:
                label_space, label_set = run.word_vector_labels(labels, settings, terms_file)
            model = ServedModel(
                network,
                label_space,
                settings.model == "softmax",
                run.size("image_size"),
                run.size("resize_size"),
                settings.k,
                settings.batching,
            )
            write_version(model, label_set, directory, {"model": settings.model, "answers": settings.answers})

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
    texts = [text.decode() for text in model.labels.texts.numpy()]
    requests = warmup_inputs(texts, model.image_size)
    # The model's own answers, before it is saved.
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


def relabel(export_dir: str, labels_file: str, vectors: str = "") -> str:
    """Publishes a version like the newest one that answers other labels, without the training run.

    Args:
        export_dir: Base path, or the path of one version of it.
        labels_file: File of the labels, see `LabelSet.load`.
        vectors: Vector file, or name of packaged vectors, of the space that the model was trained in. By default the
            packaged ones where they are of that space, else the terms that the export has. A softmax has no vectors:
            its labels are among those that it was trained on.

    Returns:
        The path of the new version.

    Raises:
        ValueError: A label has no vector, or `vectors` are of another space.
    """
    source = newest_version(export_dir)
    base = os.path.dirname(source) if source.rstrip("/") == export_dir.rstrip("/") else export_dir

    def build(directory):
        _fetch(source, directory)
        with open(os.path.join(directory, MANIFEST_FILE), encoding="utf-8") as file:
            manifest = json.load(file)
        labels = LabelSet.load(labels_file)
        with open(os.path.join(directory, "assets", _TERMS_FILE), encoding="utf-8") as file:
            terms = file.read().splitlines()
        prefix = os.path.join(directory, "variables", "variables")
        checkpoint = tf.train.load_checkpoint(prefix)
        names = {key.split("/")[1]: key for key in checkpoint.get_variable_to_shape_map() if key.startswith("labels/")}
        changed: dict[str, np.ndarray] = {}
        if manifest["model"] == "softmax":
            if vectors:
                raise ValueError(f"A softmax has no label vectors: leave `vectors` out. Received: {vectors=}")
            columns = dict(zip(terms, checkpoint.get_tensor(names["term_columns"]).tolist(), strict=True))
            found = _trained_columns(labels, columns)
            changed[names["label_columns"]] = np.array(found, np.int32)
        else:
            own = terms, checkpoint.get_tensor(names["term_vectors"])
            labels, label_vectors = _label_vectors(labels, *_space(own, vectors, labels))
            changed[names["label_vectors"]] = label_vectors
        changed[names["texts"]] = _encoded(answer_texts(labels, manifest["answers"]))
        _rewrite(checkpoint, prefix, changed)
        loaded = tf.saved_model.load(directory)
        requests = warmup_inputs([text[0] for text in labels.terms], manifest["image_size"])
        expected = [loaded.signatures[name](**_tensors(inputs)) for name, inputs in requests]
        _finish(directory, labels, requests, expected, manifest)

    return publish(base, build)


def answer_texts(labels: LabelSet, answers: str) -> list[str]:
    """What stands for the labels in answers: their first terms, or their ids."""
    return list(labels.ids) if answers == "ids" else [terms[0] for terms in labels.terms]


class _Run:
    """What an export reads of a model directory."""

    def __init__(self, model_dir: str):
        self.directory = os.path.abspath(os.path.expanduser(model_dir))
        if not os.path.isfile(self.path("flags.txt")):
            raise ValueError(
                "`model_dir` must be the directory of a run (python -m devise_tf.train --model_dir=…). "
                f"Received: model_dir={model_dir!r}"
            )
        with open(self.path("flags.txt"), encoding="utf-8") as file:
            pairs = (line.rstrip("\n").partition("=") for line in file if line.startswith("--"))
            self.flags = {name[2:]: value for name, _, value in pairs}

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def needed(self, name: str, phase: str) -> str:
        if not os.path.isfile(self.path(name)):
            raise ValueError(
                f"{self.path(name)} is missing: run --phase={phase} in that directory first. "
                f"Received: model_dir={self.directory!r}"
            )
        return self.path(name)

    def size(self, name: str) -> int:
        return int(self.flags[name])

    def network(self, model: str) -> keras.Model:
        name, phase = ("cnn.keras", "cnn") if model == "softmax" else ("devise.keras", "devise")
        return keras.models.load_model(self.needed(name, phase), compile=False)

    def labels(self, settings: ExportSettings) -> LabelSet:
        """The labels to answer."""
        if settings.labels:
            return LabelSet.load(os.path.expanduser(settings.labels))
        own = LabelSet.load(self.needed("labels.txt", "cnn"))
        return own.select(self.seen(own)) if settings.model == "softmax" else own

    def seen(self, own: LabelSet) -> list[str]:
        """The ids of the softmax's outputs, in order."""
        unseen = set(load_ids(self.path("unseen_labels.txt"))) if os.path.isfile(self.path("unseen_labels.txt")) else ()
        return [label for label in own.ids if label not in unseen]

    def trained_labels(self, labels, settings, terms_file) -> tuple[LabelSpace, LabelSet]:
        own = LabelSet.load(self.needed("labels.txt", "cnn"))
        trained = own.select(self.seen(own))
        columns: dict[str, int] = {}
        for column, terms in enumerate(trained.normalized_terms()):
            for term in terms:
                columns.setdefault(term, column)
        if settings.labels:
            found = _trained_columns(labels, columns)
        else:
            found = list(range(len(trained)))  # of two labels of one term each has its own output
        return (
            TrainedLabels(
                answer_texts(labels, settings.answers),
                found,
                list(columns),
                list(columns.values()),
                len(trained),
                terms_file,
            ),
            labels,
        )

    def word_vector_labels(self, labels, settings, terms_file) -> tuple[LabelSpace, LabelSet]:
        trained = os.path.isfile(self.path("trained_vectors.bin"))
        path = self.path("trained_vectors.bin") if trained else self.needed("vectors.bin", "skip_gram")
        terms, vectors = load_vectors(path)
        missing = self.flags.get("missing_labels", "compose")
        labels, label_vectors = _label_vectors(labels, terms, vectors, missing)
        names = {name for names in labels.normalized_terms() for name in names}
        names |= {word for name in names for word in name.split("_")}
        # A term that no text can become, such as one in capitals, would never be found; a zero vector has no direction.
        usable = vectors.any(axis=1)
        kept, others = [], 0
        for row, term in enumerate(terms):
            if usable[row] and (term in names or others < settings.max_terms) and "_".join(tokenize(term)) == term:
                kept.append(row)
                others += term not in names
        label_space = WordVectorLabels(
            answer_texts(labels, settings.answers),
            label_vectors,
            [terms[row] for row in kept],
            vectors[kept],
            terms_file,
        )
        return label_space, labels


def _label_vectors(labels, terms, vectors, missing="compose"):
    """The labels that have a vector, and the vectors."""
    found = make_label_vectors(labels, terms, vectors, missing)
    return labels.select(found.ids), found.vectors


def _trained_columns(labels: LabelSet, columns: Mapping[str, int]) -> list[int]:
    found = [next((columns[term] for term in terms if term in columns), None) for terms in labels.normalized_terms()]
    lost = [label for label, column in zip(labels.ids, found, strict=True) if column is None]
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(labels)} labels are not among those that the softmax was trained on, and it knows no "
            f"others. Received: {lost[:20]}"
        )
    return found


def _space(own, vectors, labels):
    """The terms and vectors that new labels are looked up in: of the space that the model was trained in."""
    if not vectors:
        for path in packaged_vectors().values():
            packaged = _wanted(path, labels, own[0])
            if _same_space(own, packaged):
                return packaged
        return own
    other = _wanted(vectors, labels, own[0])
    if not _same_space(own, other):
        raise ValueError(
            "`vectors` are of another space than those that the model was trained with: an image's embedding means "
            f"nothing there. Take vectors of that run. Received: {vectors=}, dimension {other[1].shape[1]}"
        )
    return other


def _wanted(path, labels, own_terms):
    names = {name for names in labels.normalized_terms() for name in names}
    return load_vectors(
        path, terms=names | {word for name in names for word in name.split("_")} | set(own_terms[:2000])
    )


def _same_space(own, other) -> bool:
    """Whether terms that both have, have the same direction in both."""
    index = {term: row for row, term in enumerate(own[0])}
    pairs = [(index[term], row) for row, term in enumerate(other[0]) if term in index]
    if not pairs or own[1].shape[1] != other[1].shape[1]:
        return False
    first, second = own[1][[i for i, _ in pairs]], other[1][[j for _, j in pairs]]
    cosines = np.sum(first * second, axis=1) / np.maximum(
        np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1), 1e-30
    )
    return float(np.median(cosines)) > 0.99


def _fetch(source: str, directory: str) -> None:
    """Copies a version but for what a new one has of its own."""
    for top, _, names in tf.io.gfile.walk(source):
        below = top[len(source) :].strip("/")
        if below == "assets.extra":
            names = [os.path.basename(MANIFEST_FILE)]
        for name in names:
            if name == "fingerprint.pb":  # it is of the old variables, and TensorFlow has no public way to make one
                continue
            os.makedirs(os.path.join(directory, below), exist_ok=True)
            tf.io.gfile.copy(f"{top}/{name}", os.path.join(directory, below, name))


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
