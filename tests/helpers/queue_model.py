"""Versions of a model whose requests end when the test says so."""

import os
import uuid

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from devise_tf.export.signatures import WARMUP_FILE


def make_version(base, number, warmup=(), prepare=None):
    """Publishes version `number` under `base`: built apart, then renamed.

    Signatures, all from `x` float32 [N]:
        `serving_default`: `y` = x + number.
        `wait`: the same, once `release` has been called as often.
        `release`: `y` = x.
        `slow`: x + number, after x[0] seconds.
        `fail`: an error of the session.

    Args:
        base: Path of the base directory.
        number: The version.
        warmup: `PredictionLog`s to replay.
        prepare: Called with the directory before it is published.
    """
    os.makedirs(base, exist_ok=True)
    built = os.path.join(base, f".tmp-{uuid.uuid4().hex}")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        queue = tf.queue.FIFOQueue(100, tf.float32, shapes=[()])
        with tf.control_dependencies([queue.dequeue()]):
            waited = tf.add(x, float(number))
        with tf.control_dependencies([queue.enqueue(0.0)]):
            released = tf.identity(x)
        start = tf.timestamp()
        (turns,) = tf.while_loop(
            lambda turn: tf.timestamp() - start < tf.cast(x[0], tf.float64), lambda turn: (turn + 1,), (tf.constant(0),)
        )
        with tf.control_dependencies([turns]):
            slow = tf.add(x, float(number))
        outputs = {
            "serving_default": tf.add(x, float(number)),
            "wait": waited,
            "slow": slow,
            "release": released,
            "fail": tf.debugging.check_numerics(x / 0.0, "no number"),
        }
        builder = tf.compat.v1.saved_model.Builder(built)
        signatures = {
            name: tf.compat.v1.saved_model.predict_signature_def({"x": x}, {"y": y}) for name, y in outputs.items()
        }
        builder.add_meta_graph_and_variables(session, [tf.saved_model.SERVING], signatures)
        builder.save()
    if warmup:
        os.mkdir(os.path.join(built, "assets.extra"))
        with tf.io.TFRecordWriter(os.path.join(built, WARMUP_FILE)) as writer:
            for log in warmup:
                writer.write(log.SerializeToString())
    if prepare:
        prepare(built)
    os.rename(built, os.path.join(base, str(number)))


def warmup_log(signature):
    """A warm-up request for `make_version`: `x` is 1."""
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array([1.0], np.float32)))
    return log


def cut(name, size):
    """What cuts a file of a version off, as `prepare` for `make_version`."""

    def prepare(directory):
        with open(os.path.join(directory, name), "r+b") as file:
            file.truncate(size)

    return prepare
