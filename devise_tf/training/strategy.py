"""Distribution strategies by name."""

import os

import tensorflow as tf

from devise_tf.choices import STRATEGIES


def make_strategy(name: str = "default") -> tf.distribute.Strategy:
    """Makes a `tf.distribute` strategy. Call it before any other TensorFlow operation (`multi_worker` needs that).

    Args:
        name: String. `"default"` (one device), `"mirrored"` (all devices of this machine: its GPUs, or its logical CPU
            devices where it has several) or `"multi_worker"` (one process a machine, described by the `TF_CONFIG`
            environment variable; all processes must see the same model directory).

    Returns:
        The strategy.
    """
    if name == "default":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        gpus = tf.config.list_logical_devices("GPU")
        return tf.distribute.MirroredStrategy([device.name for device in gpus or tf.config.list_logical_devices("CPU")])
    if name == "multi_worker":
        if "TF_CONFIG" not in os.environ:
            raise ValueError(
                "`strategy` 'multi_worker' needs the TF_CONFIG environment variable, e.g. "
                '\'{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}\'. '
                "Received: no TF_CONFIG"
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    raise ValueError(f"`strategy` must be one of {STRATEGIES}. Received: strategy={name!r}")


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files of a run: the first worker, or the only one."""
    resolver = strategy.cluster_resolver
    return resolver is None or not resolver.task_type or (resolver.task_type == "worker" and resolver.task_id == 0)
