"""The metrics of phases, in a file and for TensorBoard."""

import glob

import tensorflow as tf

from devise_tf.model_dir import ModelDir
from devise_tf.training.metrics_log import MetricsLog
from tests.helpers.tiny_run import read_metrics


def test_metrics_after_a_step_are_dropped(tmp_path):
    """Lines of other phases stay, and what a kill left of a line goes."""
    model_dir = ModelDir(str(tmp_path))
    logs = {phase: MetricsLog(model_dir, phase) for phase in ("skip_gram", "cnn")}
    logs["cnn"].forget(after_step=0)
    for phase, step in (("skip_gram", 5), ("cnn", 1), ("cnn", 2), ("cnn", 3)):
        logs[phase].write(step, step / 3, {"loss": 0.1 * step})
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"phase": "cnn", "st')
    logs["cnn"].forget(after_step=2)
    lines = read_metrics(tmp_path)
    assert [(line["phase"], line["step"]) for line in lines] == [("skip_gram", 5), ("cnn", 1), ("cnn", 2)]
    assert lines[1] == {"phase": "cnn", "step": 1, "epoch": 0.3333, "loss": 0.1}


def test_tensorboard_reads_the_metrics(tmp_path):
    MetricsLog(ModelDir(str(tmp_path)), "cnn").write(7, 0.5, {"loss": 0.25, "accuracy": 0.5})
    (path,) = glob.glob(str(tmp_path / "logs" / "cnn" / "events.out.tfevents.*"))
    values = {
        value.tag: (event.step, float(tf.make_ndarray(value.tensor)))
        for record in tf.data.TFRecordDataset(path)
        for event in [tf.compat.v1.Event.FromString(record.numpy())]
        for value in event.summary.value
    }
    assert values == {"loss": (7, 0.25), "accuracy": (7, 0.5)}
