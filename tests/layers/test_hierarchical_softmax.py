import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.huffman import HuffmanTree
from devise_tf.layers import HierarchicalSoftmax
from tests.helpers.run_layer_test import run_layer_test


def built(counts, dimension=4, seed=0):
    layer = HierarchicalSoftmax(counts)
    layer.build((None, dimension))
    layer.built = True
    layer.nodes.assign(np.random.default_rng(seed).normal(size=(len(counts) - 1, dimension)))
    return layer


def oracle_log_probabilities(tree, nodes, inputs):
    """log P(term) = sum over the path of log sigmoid((1 - 2 code) * input . node), one term at a time."""
    result = np.zeros((len(inputs), len(tree)))
    for term in range(len(tree)):
        path = tree.nodes[term, : tree.lengths[term]]
        signs = 1.0 - 2.0 * tree.codes[term, : tree.lengths[term]]
        result[:, term] = -np.logaddexp(0, -signs * (inputs @ nodes[path].T)).sum(axis=1)
    return result


COUNTS = [3, 50, 7, 7, 1, 12, 0, 0, 100, 2, 1, 1]


@pytest.mark.parametrize("kind", ["counts", "tree"])
def test_layer_keeps_the_contract_of_layers(kind):
    init_kwargs = {"counts": COUNTS} if kind == "counts" else {"tree": HuffmanTree.from_counts(COUNTS)}
    inputs = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    run_layer_test(HierarchicalSoftmax, init_kwargs, [inputs, np.array([0, 11, 4, 8, 2], "int32")])


def test_ids_survive_half_precision():
    """bfloat16 holds whole numbers up to 256 and float16 up to 2,048; ids beyond must survive mixed precision."""
    counts = np.arange(5000, 0, -1)
    inputs = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    run_layer_test(HierarchicalSoftmax, {"counts": counts}, [inputs, np.array([257, 2049, 4097, 4999], "int64")])


@pytest.mark.parametrize("counts", [COUNTS, [1, 1], [2**i for i in range(12)], list(range(1, 200))])
def test_log_probabilities_equal_the_formula(counts):
    layer = built(counts)
    inputs = np.random.default_rng(1).normal(size=(6, 4)).astype("float32")
    actual = np.array(layer.log_probabilities(inputs))
    np.testing.assert_allclose(actual, oracle_log_probabilities(layer.tree, layer.nodes.numpy(), inputs), rtol=2e-5)
    np.testing.assert_allclose(np.exp(actual).sum(axis=1), 1, rtol=1e-5)


def test_call_is_minus_the_log_probability():
    layer = built(COUNTS)
    inputs = np.random.default_rng(1).normal(size=(12, 4)).astype("float32")
    log_probabilities = np.array(layer.log_probabilities(inputs))
    loss = layer(inputs, np.arange(12))
    np.testing.assert_allclose(loss, -log_probabilities[np.arange(12), np.arange(12)], rtol=1e-5)


def test_fresh_layer_takes_every_branch_at_even_odds():
    layer = HierarchicalSoftmax(COUNTS)
    loss = layer(np.ones((12, 3), "float32"), np.arange(12))
    np.testing.assert_allclose(loss, np.log(2) * layer.tree.lengths, rtol=1e-6)


def test_gradients_equal_finite_differences():
    layer = built(COUNTS)
    layer.nodes.assign(layer.nodes / 2)
    inputs = np.random.default_rng(1).normal(size=(3, 4))
    targets = np.array([4, 8, 0])
    x = tf.constant(inputs, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x, targets))
    input_gradient, node_gradient = tape.gradient(loss, [x, layer.nodes.value])
    assert isinstance(node_gradient, tf.IndexedSlices)  # rows of the batch's paths only, not the table

    nodes = layer.nodes.numpy().astype(np.float64)

    def total(inputs, nodes):
        return -oracle_log_probabilities(layer.tree, nodes, inputs)[np.arange(3), targets].sum()

    for gradient, which in [(input_gradient, 0), (tf.convert_to_tensor(node_gradient), 1)]:
        point = [inputs.astype(np.float32).astype(np.float64), nodes]
        numeric = np.zeros(point[which].shape)
        for position in np.ndindex(numeric.shape):
            step = np.zeros(numeric.shape)
            step[position] = 1e-5
            up, down = list(point), list(point)
            up[which], down[which] = point[which] + step, point[which] - step
            numeric[position] = (total(*up) - total(*down)) / 2e-5
        np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-5)


def test_learns_the_distribution_of_its_targets():
    """With a constant input the likelihood is greatest when the layer's probabilities are the targets' frequencies."""
    layer = HierarchicalSoftmax([4, 3, 2, 1])
    inputs = np.ones((10, 1), "float32")
    targets = np.repeat(np.arange(4), [4, 3, 2, 1])
    layer.build((None, 1))
    optimizer = keras.optimizers.SGD(5.0)
    for _ in range(100):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(layer(inputs, targets))
        optimizer.apply(tape.gradient(loss, [layer.nodes.value]), layer.trainable_variables)
    np.testing.assert_allclose(np.exp(layer.log_probabilities(inputs[:1])), [[0.4, 0.3, 0.2, 0.1]], atol=1e-4)


def test_paths_are_not_stored_as_weights():
    layer = built(COUNTS)
    assert [weight.path.split("/")[-1] for weight in layer.weights] == ["nodes"]
    assert layer.nodes.shape == (11, 4)
    assert (layer.counts == COUNTS).all()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="Exactly one"):
        HierarchicalSoftmax()
    with pytest.raises(ValueError, match="Exactly one"):
        HierarchicalSoftmax([1, 2], HuffmanTree.from_counts([1, 2]))
    with pytest.raises(ValueError, match="at least two terms"):
        HierarchicalSoftmax([1])
    with pytest.raises(ValueError, match="must be a `HuffmanTree`"):
        HierarchicalSoftmax(tree=[1, 2])
    with pytest.raises(ValueError, match="`targets` must be integers"):
        HierarchicalSoftmax([1, 2])(np.ones((1, 2), "float32"), np.zeros(1, "float32"))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_targets_of_any_integer_dtype_and_with_a_last_dimension_give_the_same(dtype):
    layer, inputs = built(COUNTS), np.random.default_rng(1).normal(size=(12, 4)).astype("float32")
    expected = -oracle_log_probabilities(layer.tree, layer.nodes.numpy(), inputs)[np.arange(12), np.arange(12)]
    for targets in (np.arange(12, dtype=dtype), np.arange(12, dtype=dtype)[:, None]):
        for given in (targets, tf.constant(targets)):
            np.testing.assert_allclose(layer(inputs, given), expected, rtol=2e-5)


@pytest.mark.parametrize("last", [(), (1,)])
def test_sequences_of_inputs_and_targets(last):
    inputs = np.random.default_rng(1).normal(size=(3, 2, 4)).astype("float32")
    targets = np.array([[0, 11], [4, 8], [2, 2]], "int32")
    run_layer_test(HierarchicalSoftmax, {"counts": COUNTS}, [inputs, targets.reshape(3, 2, *last)])
    layer = built(COUNTS)
    expected = oracle_log_probabilities(layer.tree, layer.nodes.numpy(), inputs.reshape(6, 4)).reshape(3, 2, -1)
    np.testing.assert_allclose(layer.log_probabilities(inputs), expected, rtol=2e-5)
    losses = layer(inputs, targets.reshape(3, 2, *last))
    np.testing.assert_allclose(losses, -np.take_along_axis(expected, targets[:, :, None], axis=2)[:, :, 0], rtol=2e-5)
    for shape in ((3,), (2, 3), (6,), (3, 2, 2)):
        with pytest.raises(ValueError, match=r"`targets` must have the shape \(3, 2\) or \(3, 2, 1\).*targets.shape="):
            layer(inputs, np.zeros(shape, "int32"))


def test_a_target_outside_is_an_error_and_in_a_compiled_function_nan():
    layer, inputs = built(COUNTS), np.ones((3, 4), "float32")
    expected = layer(inputs, np.array([3, 3, 3])).numpy()
    for outside in (-1, 12):
        targets = np.array([3, outside, 3])
        with pytest.raises(ValueError, match=rf"`targets` must be ids from 0 to 11. Received: 1 others, \[{outside}\]"):
            layer(inputs, targets)
        actual = tf.function(layer)(tf.constant(inputs), tf.constant(targets))
        np.testing.assert_array_equal(actual, np.where(targets == 3, expected, np.nan))


def test_nan_stays_nan():
    inputs = np.where(np.arange(3)[:, None] == 1, np.nan, np.ones((3, 4))).astype("float32")
    np.testing.assert_array_equal(np.isnan(built(COUNTS)(inputs, np.array([3, 3, 3]))), [False, True, False])
