"""Writes the files of an exported version, and checks them."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import devise_tf
from devise_tf.export.manifest import LABELS_FILE, TOKENIZER_FILE, write_manifest
from devise_tf.export.served_model import ServedModel
from devise_tf.export.verify import XLA_ATTRIBUTE, verify_in_fresh_process
from devise_tf.export.warmup import warmup_inputs, write_warmup
from devise_tf.labels import LabelSet


def write_version(
    model: ServedModel, labels: LabelSet, directory: str, facts: Mapping[str, object], tokenizer_model: bytes = b""
) -> None:
    """Writes a model with its warm-up, labels and manifest into a directory, and checks it in a fresh process.

    Args:
        model: ServedModel. The model.
        labels: LabelSet. The labels that it answers, in the order of `model.labels.texts`.
        directory: str. An empty local directory.
        facts: dict. More entries of the manifest.
        tokenizer_model: bytes. The model that the tokenizer is, if it is one.

    Raises:
        VerificationError: The version does not run as it should.
    """
    signatures = model.signatures()
    requests = warmup_inputs([terms[0] for terms in labels.terms], model.crop.image_size)
    # The model's own answers, before it is saved; as exact as a CPU's, with which they will be compared.
    with tf.device("CPU:0"):
        expected = [signatures[name](**inputs) for name, inputs in requests]
    tf.saved_model.save(model, directory, signatures)
    _without_xla(directory)
    manifest = {
        **facts,
        "image_size": model.crop.image_size,
        "resize_size": model.crop.resize_size,
        "preprocessing": "RGB 0..255; shorter side to resize_size (bilinear, antialiased); center cut to image_size",
        "k": model.k,
        "dimension": int(expected[1]["embedding"].shape[1]),
        "terms": model.labels.num_terms,
    }
    finish_version(directory, labels, requests, expected, manifest, tokenizer_model)


def finish_version(
    directory: str,
    labels: LabelSet,
    requests: Sequence[tuple[str, Mapping[str, np.ndarray]]],
    expected: Sequence[Mapping[str, tf.Tensor]],
    facts: Mapping[str, object],
    tokenizer_model: bytes = b"",
) -> None:
    """Adds warm-up, labels and manifest to a SavedModel, and checks the whole in a fresh process.

    Args:
        directory: str. Where the SavedModel is.
        labels: LabelSet. The labels that it answers.
        requests: Pairs of a signature and its inputs, the warm-up.
        expected: Outputs by name, a dict for each request.
        facts: dict. More entries of the manifest.
        tokenizer_model: bytes. See `write_version`.

    Raises:
        VerificationError: The version does not run as it should.
    """
    records = write_warmup(directory, requests)
    labels.save(os.path.join(directory, LABELS_FILE))
    if tokenizer_model:
        with open(os.path.join(directory, TOKENIZER_FILE), "wb") as file:
            file.write(tokenizer_model)
    manifest = {
        **facts,
        "labels": len(labels),
        "warmup_records": records,
        "devise_tf": devise_tf.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
    write_manifest(directory, manifest)
    with tempfile.TemporaryDirectory(prefix="devise_tf-export-") as scratch:
        path = os.path.join(scratch, "expected.npz")
        outputs: dict[str, Any] = {
            f"{number}/{name}": _plain(value.numpy())
            for number, answer in enumerate(expected)
            for name, value in answer.items()
        }
        np.savez(path, **outputs)
        verify_in_fresh_process(directory, path)


def _plain(value: np.ndarray) -> np.ndarray:
    """Strings as NumPy's own kind, which needs no pickle."""
    return value.astype("S") if value.dtype == object else value


def _without_xla(directory: str) -> None:
    """Takes back what makes functions need XLA, which Keras asks for in grouped convolutions.

    Stock TF Serving has XLA for CPUs switched off and refuses such functions; the kernels without it give the same.
    """
    path = os.path.join(directory, "saved_model.pb")
    with open(path, "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    need_xla = [
        attributes
        for function in saved.meta_graphs[0].graph_def.library.function
        for attributes in (function.attr, *(node.attr for node in function.node_def))
        if XLA_ATTRIBUTE in attributes
    ]
    for attributes in need_xla:
        del attributes[XLA_ATTRIBUTE]
    if need_xla:
        with open(path, "wb") as file:
            file.write(saved.SerializeToString(deterministic=True))
