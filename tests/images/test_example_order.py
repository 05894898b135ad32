import itertools

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.images import ExampleOrder

KEYS = ("index", "epoch", "seed")


def read(order, start, stop, replicas=None, workers=1):
    """The examples of the steps as {"index", "epoch": [steps, B], "seed": [steps, B, 2]}, over all workers."""
    if replicas is None:
        contexts, replicas = [None], 1
    else:
        contexts = [tf.distribute.InputContext(workers, worker, replicas) for worker in range(workers)]
    parts = []
    for context in contexts:
        batches = order.dataset(start, stop, context).batch(order.per_replica_batch_size(context), drop_remainder=True)
        batches = list(batches.as_numpy_iterator())
        assert len(batches) == (stop - start) * replicas // workers
        # [steps, replicas of the worker, part, ...] -> [steps, part of the worker, ...]
        parts.append(
            {
                key: np.stack([batch[key] for batch in batches]).reshape(stop - start, -1, *batches[0][key].shape[1:])
                for key in KEYS
            }
        )
    return {key: np.concatenate([part[key] for part in parts], axis=1) for key in KEYS}


def permutation(num_examples, seed, epoch):
    """The oracle: SplitMix64 in NumPy for the keys, and one call of the cipher for the whole epoch."""

    def mix(words):
        words = words + np.uint64(0x9E3779B97F4A7C15)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return words ^ (words >> np.uint64(31))

    words = np.arange(3, dtype="uint64")
    state = mix(np.full(3, epoch, "uint64")) ^ mix(np.full(3, seed, "uint64"))
    return tf.raw_ops.RandomIndexShuffle(
        index=np.arange(num_examples), seed=mix(state + words), max_index=np.int64(num_examples - 1), rounds=12
    ).numpy()


def test_stream_is_the_epochs_one_after_another():
    order = ExampleOrder(num_examples=10, global_batch_size=4, seed=7)
    stream = read(order, 0, 20)["index"].ravel()
    expected = np.concatenate([permutation(10, seed=7, epoch=epoch) for epoch in range(8)])
    np.testing.assert_array_equal(stream, expected)
    for epoch in stream.reshape(8, 10):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(10))
    assert len({tuple(epoch) for epoch in stream.reshape(8, 10)}) == 8


@pytest.mark.parametrize("num_examples", [1, 2, 3, 5, 257])
def test_every_epoch_is_a_permutation(num_examples):
    stream = read(ExampleOrder(num_examples, global_batch_size=num_examples, seed=0), 0, 5)["index"]
    np.testing.assert_array_equal(np.sort(stream, axis=1), np.tile(np.arange(num_examples), (5, 1)))


def test_permutations_do_not_repeat_and_are_even():
    """Over 3,000 epochs of 10 examples each example stands at each place 300 times.

    Chi-square of the 10 x 10 table has 81 degrees of freedom and standard deviation sqrt(2 * 81) = 12.7; consecutive
    seeds into the bare op give above 1,000, and 256 distinct permutations.
    """
    stream = read(ExampleOrder(10, global_batch_size=3000, seed=3), 0, 10)["index"].reshape(3000, 10)
    assert len({tuple(epoch) for epoch in stream}) > 2990
    table = np.zeros((10, 10))
    np.add.at(table, (np.tile(np.arange(10), 3000), stream.ravel()), 1)
    assert ((table - 300) ** 2 / 300).sum() < 81 + 5 * 12.7


def test_unshuffled():
    order = ExampleOrder(num_examples=3, global_batch_size=2, seed=0, shuffle=False)
    np.testing.assert_array_equal(read(order, 1, 4)["index"], [[2, 0], [1, 2], [0, 1]])


@pytest.mark.parametrize("replicas, workers", [(1, 1), (2, 1), (2, 2), (4, 2), (6, 3)])
def test_devices_and_workers_see_the_same_global_batches(replicas, workers):
    order = ExampleOrder(num_examples=50, global_batch_size=12, seed=1)
    single, parts = read(order, 3, 9), read(order, 3, 9, replicas, workers)
    for key in KEYS:
        np.testing.assert_array_equal(parts[key], single[key])


def test_resuming_is_the_tail():
    order = ExampleOrder(num_examples=50, global_batch_size=12, seed=1)
    whole, tail = read(order, 0, 12, 2), read(order, 5, 12, 2)
    for key in KEYS:
        np.testing.assert_array_equal(tail[key], whole[key][5:])


def test_epochs_and_examples_by_number():
    """`examples` gives what the dataset gives, in any order, without a pipeline."""
    order = ExampleOrder(num_examples=10, global_batch_size=4, seed=7)
    stream = {key: values.reshape(40, -1).squeeze() for key, values in read(order, 0, 10).items()}
    np.testing.assert_array_equal(stream["epoch"], np.arange(40) // 10)
    assert stream["epoch"].dtype == np.int64
    numbers = np.random.default_rng(0).permutation(40)
    examples = order.examples(tf.constant(numbers))
    assert set(examples) == set(KEYS)
    for key in KEYS:
        np.testing.assert_array_equal(examples[key], stream[key][numbers])


def test_example_seeds_differ():
    streams = [read(ExampleOrder(6, 4, seed=seed), 0, 9)["seed"].reshape(-1, 2) for seed in (0, 1)]
    assert len({tuple(seed) for seed in itertools.chain(*streams)}) == 2 * 36
    assert streams[0].dtype == np.int32


def test_far_into_the_stream():
    """Steps beyond 2**32 examples: numbers stay exact, seeds stay distinct from the beginning's."""
    order = ExampleOrder(num_examples=10, global_batch_size=1000, seed=1)
    far, near = read(order, 10**7, 10**7 + 1), read(order, 0, 1)
    np.testing.assert_array_equal(far["index"][0, :10], permutation(10, seed=1, epoch=10**9))
    assert not {tuple(seed) for seed in far["seed"][0]} & {tuple(seed) for seed in near["seed"][0]}


def test_properties():
    order = ExampleOrder(num_examples=10, global_batch_size=4, seed=0)
    assert order.steps_per_epoch == 2.5
    assert order.per_replica_batch_size() == 4
    assert order.per_replica_batch_size(tf.distribute.InputContext(1, 0, 2)) == 2
    assert order.dataset(2, 5).cardinality() == 12
    assert order.dataset(2, 2).cardinality() == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_examples": 0}, "`num_examples` must be at least 1"),
        ({"global_batch_size": 0}, "`global_batch_size` must be at least 1"),
        ({"seed": -1}, "`seed` must be in"),
        ({"seed": 2**31}, "`seed` must be in"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ExampleOrder(**{"num_examples": 10, "global_batch_size": 4, "seed": 0, **arguments})


def test_invalid_use():
    order = ExampleOrder(num_examples=10, global_batch_size=4, seed=0)
    with pytest.raises(ValueError, match="divisible by the number of replicas. Received: global_batch_size=4, 3 repl"):
        order.dataset(0, 1, tf.distribute.InputContext(1, 0, 3))
    with pytest.raises(ValueError, match="equally many replicas. Received: 2 over 4 workers"):
        order.dataset(0, 1, tf.distribute.InputContext(4, 0, 2))
    with pytest.raises(ValueError, match="start_step=3, stop_step=2"):
        order.dataset(3, 2)


def test_no_tuning_thread_delays_the_end_of_an_iterator():
    dataset = ExampleOrder(num_examples=10, global_batch_size=4, seed=0).dataset(0, 2).batch(4).prefetch(1)
    assert dataset.options().autotune.enabled is False
