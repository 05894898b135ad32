"""Warm-up requests: what TF Serving runs on a new version before it takes requests."""

import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, predict_pb2, prediction_log_pb2

from devise_tf.export.signatures import CLASSIFY_API_SIGNATURE, MAX_WARMUP_RECORDS, SIGNATURES, WARMUP_FILE

BATCH_SIZES = (1, 8)


def warmup_inputs(label_texts: Sequence[str], image_size: int) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Inputs of every signature, in batches of 1 and of 8.

    Args:
        label_texts: list of str. Some labels, at least one.
        image_size: int. Side of the images of `embed_pixels`, pixels.

    Returns:
        Pairs of a signature's name and its inputs by name; strings as object arrays of bytes.
    """
    images = [_photo(seed, "png" if seed % 4 == 3 else "jpeg") for seed in range(max(BATCH_SIZES))]
    texts = [text.encode() for text in label_texts]
    row = [texts[i % len(texts)] for i in range(5)] + [b"no such label \xe2\x80\x93 0"]
    requests = []
    for size in BATCH_SIZES:
        pixels = np.full((size, image_size, image_size, 3), 127.5, np.float32)
        if size == 1:  # a record of one value for all is small, one of many is not
            pixels = np.random.default_rng(0).uniform(0, 255, pixels.shape).astype(np.float32)
        values = {
            ("image_bytes", 1): np.array(images[:size], object),
            ("labels", 1): np.array([row[i % len(row)] for i in range(size)], object),
            ("labels", 2): np.array([row] * size, object),
            ("pixels", 4): pixels,
            ("inputs", 1): np.array([_example(image).SerializeToString() for image in images[:size]], object),
        }
        for name, signature in SIGNATURES.items():
            requests.append((name, {key: values[key, len(type_.shape)] for key, type_ in signature.inputs.items()}))
    return requests


def write_warmup(version_dir: str, requests: Sequence[tuple[str, Mapping[str, np.ndarray]]]) -> int:
    """Writes the warm-up file of a version and reads it again; returns how many records it has.

    Raises:
        ValueError: There are no requests, or more than TF Serving takes.
        OSError: Not all records could be read again: a truncated file would pass as a shorter one.
    """
    logs = [_log(signature, inputs) for signature, inputs in requests]
    # The Classify API has a form of its own, through the same signature.
    logs += [_classify_log(inputs["inputs"]) for signature, inputs in requests if signature == CLASSIFY_API_SIGNATURE]
    if not 0 < len(logs) < MAX_WARMUP_RECORDS:
        raise ValueError(f"Warm-up needs 1 to {MAX_WARMUP_RECORDS - 1} records. Received: {len(logs)}")
    path = os.path.join(version_dir, WARMUP_FILE)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tf.io.TFRecordWriter(path) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    if read_warmup(version_dir) != logs:
        raise OSError(f"The warm-up records did not come back as they were written; is the disk full? Received: {path}")
    return len(logs)


def read_warmup(version_dir: str) -> list[prediction_log_pb2.PredictionLog]:
    """The warm-up records of a version."""
    path = os.path.join(version_dir, WARMUP_FILE)
    return [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in tf.data.TFRecordDataset(path)]


def _log(signature: str, inputs: Mapping[str, np.ndarray]) -> prediction_log_pb2.PredictionLog:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "devise"
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        same = value.dtype != object and (value == value.flat[0]).all()
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value.flat[0] if same else value, shape=value.shape))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))


def _classify_log(examples: Iterable[bytes]) -> prediction_log_pb2.PredictionLog:
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "devise"
    request.model_spec.signature_name = CLASSIFY_API_SIGNATURE
    request.input.example_list.examples.extend(tf.train.Example.FromString(example) for example in examples)
    return prediction_log_pb2.PredictionLog(classify_log=prediction_log_pb2.ClassifyLog(request=request))


def _example(image: bytes) -> tf.train.Example:
    feature = {"image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))}
    return tf.train.Example(features=tf.train.Features(feature=feature))


def _photo(seed: int, form: str) -> bytes:
    """A small smooth picture with some noise, as a photo has."""
    random = np.random.default_rng(seed)
    coarse = tf.constant(random.uniform(0, 255, (1, 5, 6, 3)), tf.float32)
    smooth = tf.image.resize(coarse, (72 + 8 * seed, 96), "bicubic")[0]
    noisy = tf.cast(tf.clip_by_value(smooth + random.normal(0, 4, smooth.shape), 0, 255), tf.uint8)
    return (tf.io.encode_png if form == "png" else tf.io.encode_jpeg)(noisy).numpy()
