"""Terms that are drawn anew at every step, and the steps that the draws go by."""

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.images import ExampleOrder
from devise_tf.training.phases.moving_label_vectors import TermDraws

COUNTS = (1, 2, 3, 7)
# The vector of a label's term says which it is: (label, number of the term).
TERMS = [np.array([(label, i) for i in range(count)], np.float32) for label, count in enumerate(COUNTS)]


def drawn(seed, steps):
    """Numbers of the terms drawn, int [steps, labels]."""
    draws = TermDraws(TERMS)
    draw = tf.function(lambda step: draws.label_vectors(seed, step))
    vectors = np.stack([draw(tf.constant(step, tf.int64)).numpy() for step in steps])
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[:, :, 0], np.tile(np.arange(len(COUNTS)), (len(steps), 1)))
    return vectors[:, :, 1].astype(int)


def test_every_term_is_drawn_equally_often():
    """Of n draws a term of m gets n / m; 4.5 standard deviations of that, sqrt(n (1 / m) (1 - 1 / m)), are allowed."""
    steps = 3000
    numbers = drawn(seed=3, steps=range(steps))
    for label, count in enumerate(COUNTS):
        times = np.bincount(numbers[:, label], minlength=count)
        assert len(times) == count
        bound = 4.5 * np.sqrt(steps / count * (1 - 1 / count))
        assert np.abs(times - steps / count).max() <= bound


def test_labels_and_steps_are_drawn_independently():
    numbers = drawn(seed=0, steps=range(2000))
    # Two labels of the same number of terms, here of three and of seven by what is left.
    pairs = np.histogram2d(numbers[:, 2], numbers[:, 3], bins=(3, 7))[0]
    assert np.abs(pairs - 2000 / 21).max() < 4.5 * np.sqrt(2000 / 21)
    following = np.histogram2d(numbers[:-1, 3], numbers[1:, 3], bins=(7, 7))[0]
    assert np.abs(following - 1999 / 49).max() < 4.5 * np.sqrt(1999 / 49)


def test_draws_are_a_function_of_seed_and_step():
    steps = [0, 1, 2, 7, 10**6, 2**40]
    first = drawn(seed=5, steps=steps)
    np.testing.assert_array_equal(drawn(seed=5, steps=steps), first)
    np.testing.assert_array_equal(drawn(seed=5, steps=steps[::-1])[::-1], first)
    draws = TermDraws(TERMS)
    for step, numbers in zip(steps, first, strict=True):
        with tf.device("CPU:0"):
            eager = draws.label_vectors(5, tf.constant(step, tf.int64))
        np.testing.assert_array_equal(eager[:, 1], numbers)
    # TensorFlow's own random state has no part.
    tf.random.set_seed(99)
    np.testing.assert_array_equal(drawn(seed=5, steps=steps), first)


def test_other_seeds_and_steps_draw_other_terms():
    many = drawn(seed=0, steps=range(300)), drawn(seed=1, steps=range(300))
    assert (many[0] != many[1])[:, 3].mean() > 0.7  # 6 of 7 are expected
    assert (many[0][:-1] != many[0][1:])[:, 3].mean() > 0.7


def test_every_replica_draws_the_same():
    draws = TermDraws(TERMS)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    here = strategy.run(tf.function(lambda: draws.label_vectors(4, tf.constant(9, tf.int64))))
    np.testing.assert_array_equal(here, draws.label_vectors(4, tf.constant(9, tf.int64)))


def test_labels_of_one_term_always_draw_it():
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    draws = TermDraws([vectors[:1], vectors[1:2], vectors[2:]])
    for step in range(5):
        np.testing.assert_array_equal(draws.label_vectors(0, tf.constant(step, tf.int64)), vectors)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("num_examples", "batch_size", "seed"), [(5, 2, 0), (7, 7, 11), (100, 32, 2**31 - 1), (3, 8, 5)]
)
def test_step_of_an_example_follows_from_its_seed(num_examples, batch_size, seed, shuffle):
    order = ExampleOrder(num_examples, batch_size, seed, shuffle)
    examples = next(iter(order.dataset(0, 9).batch(9 * batch_size)))
    steps = order.step(examples["seed"])
    assert steps.dtype == tf.int64
    np.testing.assert_array_equal(steps, np.repeat(np.arange(9), batch_size))
    np.testing.assert_array_equal(order.step(examples["seed"][-1]), 8)  # of one alone, too


def test_steps_beyond_32_bits_of_examples():
    """Beyond 2**32 examples, where the number of an example needs both words of its seed."""
    order = ExampleOrder(1000, 256, seed=77)
    first = 2**33 + 3
    examples = order.examples(tf.range(first, first + 600, dtype=tf.int64))
    np.testing.assert_array_equal(order.step(examples["seed"]), np.arange(first, first + 600) // 256)
