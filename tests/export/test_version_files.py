"""What is in a version: signatures, files, manifest, warm-up."""

import os
import pathlib

import keras
import numpy as np
import tensorflow as tf

from devise_tf.export.build import export_model
from devise_tf.export.manifest import LABELS_FILE, MANIFEST_FILE, TERMS_FILE, checksums
from devise_tf.export.signatures import WARMUP_FILE
from devise_tf.export.warmup import read_warmup
from devise_tf.labels import LabelSet
from tests.helpers.exports import manifest_of
from tests.helpers.tiny_model_dir import DIMENSION, IMAGE_SIZE, LABELS, TERMS, make_model_dir

STRING, FLOAT, INT, BOOL = tf.string, tf.float32, tf.int32, tf.bool


GOLDEN = {
    "serving_default": (
        {"image_bytes": (STRING, [None])},
        {"labels": (STRING, [None, None]), "scores": (FLOAT, [None, None])},
    ),
    "embed_image": (
        {"image_bytes": (STRING, [None])},
        {"embedding": (FLOAT, [None, DIMENSION]), "norm": (FLOAT, [None])},
    ),
    "embed_label": (
        {"labels": (STRING, [None])},
        {"embedding": (FLOAT, [None, DIMENSION]), "known_tokens": (INT, [None]), "num_tokens": (INT, [None])},
    ),
    "classify": (
        {"image_bytes": (STRING, [None]), "labels": (STRING, [None, None])},
        {
            "labels": (STRING, [None, None]),
            "scores": (FLOAT, [None, None]),
            "known": (BOOL, [None, None]),
            "indices": (INT, [None, None]),
        },
    ),
    "embed_pixels": (
        {"pixels": (FLOAT, [None, IMAGE_SIZE, IMAGE_SIZE, 3])},
        {"embedding": (FLOAT, [None, DIMENSION])},
    ),
    "classify_examples": (
        {"inputs": (STRING, [None])},
        {"classes": (STRING, [None, None]), "scores": (FLOAT, [None, None])},
    ),
}


def shape_of(info):
    return [None if side.size == -1 else side.size for side in info.tensor_shape.dim]


def test_signatures_have_the_promised_types_and_shapes(tiny_export):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], f"{tiny_export}/1")
    result = {
        name: tuple(
            {key: (tf.as_dtype(info.dtype), shape_of(info)) for key, info in side.items()}
            for side in (signature.inputs, signature.outputs)
        )
        for name, signature in meta.signature_def.items()
        if not name.startswith("__")
    }
    assert result == GOLDEN
    assert {s.method_name for n, s in meta.signature_def.items() if n in GOLDEN} == {"tensorflow/serving/predict"}


def test_version_holds_graph_terms_labels_warmup_and_manifest(tiny_export):
    version = f"{tiny_export}/1"
    manifest = manifest_of(version)
    assert os.listdir(tiny_export) == ["1"]
    assert {"saved_model.pb", "fingerprint.pb", TERMS_FILE, WARMUP_FILE, LABELS_FILE} <= set(manifest["files"])
    assert manifest["files"] == checksums(version)
    facts = {
        "model": "devise",
        "label_terms": "first",
        "k": 3,
        "dimension": DIMENSION,
        "labels": len(LABELS),
        "terms": len(TERMS),
    }
    assert {name: manifest[name] for name in facts} == facts
    assert manifest["tensorflow"] == tf.__version__
    assert LabelSet.load(f"{version}/{LABELS_FILE}") == LabelSet(list(LABELS), list(LABELS.values()))
    assert "/run" not in pathlib.Path(version, MANIFEST_FILE).read_text()  # no path of the machine that made it


def test_warm_up_has_every_signature_in_batches_of_one_and_more(tiny_export):
    result = set()
    for record in read_warmup(f"{tiny_export}/1"):
        if record.HasField("classify_log"):
            request = record.classify_log.request
            result.add(("Classify", request.model_spec.signature_name, len(request.input.example_list.examples)))
        else:
            request = record.predict_log.request
            sizes = {value.tensor_shape.dim[0].size for value in request.inputs.values()}
            result.add(("Predict", request.model_spec.signature_name, *sizes))
    expected = {("Predict", name, size) for name in GOLDEN for size in (1, 8)}
    assert result == expected | {("Classify", "classify_examples", size) for size in (1, 8)}


def test_weights_are_stored_once(tmp_path):
    """What is beside them does not grow with them: bytes are below 1.1 times the weights from 11 MB on."""
    model_dir = make_model_dir(tmp_path / "run", "resnet_small")
    version = export_model(model_dir, str(tmp_path / "base"))
    model = keras.models.load_model(f"{model_dir}/devise.keras", compile=False)
    weights = [*model.visual_model.weights, *model.projection.weights]
    size = 4 * (sum(int(np.prod(weight.shape)) for weight in weights) + (len(TERMS) + len(LABELS)) * DIMENSION)
    stored = {name: entry["bytes"] for name, entry in manifest_of(version)["files"].items()}
    assert size > 4_900_000
    assert sum(count for name, count in stored.items() if name.startswith("variables/")) < 1.01 * size
    assert sum(count for name, count in stored.items() if not name.startswith("variables/")) < 1_100_000
