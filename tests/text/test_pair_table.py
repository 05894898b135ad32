import numpy as np
import pytest

from devise_tf.text.pair_table import PairTable


def numbered(pairs):
    """Different pairs by first occurrence, with a dictionary."""
    numbers = {}
    return [numbers.setdefault(pair, len(numbers)) for pair in pairs], numbers


def halves(pairs):
    return np.array(pairs, np.uint64).reshape(-1, 2).T


@pytest.mark.parametrize("largest", [3, 60, 2**63])
def test_equals_a_dictionary(largest):
    rng = np.random.default_rng(0)
    pairs = [tuple(pair) for pair in rng.integers(0, largest, (20_000, 2), dtype=np.uint64).tolist()]
    ids, numbers = numbered(pairs)
    table = PairTable()
    result, first_positions = [], []
    for start in range(0, len(pairs), 3000):
        part = halves(pairs[start : start + 3000])
        added, new = table.add(*part)
        result += added.tolist()
        first_positions += (start + new).tolist()
    assert result == ids
    assert first_positions == np.unique(ids, return_index=True)[1].tolist()
    assert table.size == len(numbers)
    assert table.find(*halves(pairs)).tolist() == ids
    assert table.find(*halves([(largest, 0), (0, largest)])).tolist() == [-1, -1]
    np.testing.assert_array_equal(np.stack(table.keys()), halves(list(numbers)))


def test_reset():
    table = PairTable()
    table.add(*halves([(i, 0) for i in range(5000)]))
    table.reset(*halves([(7, 0), (3, 0)]))
    assert table.size == 2
    assert table.find(*halves([(3, 0), (7, 0), (5, 0), (0, 0)])).tolist() == [1, 0, -1, -1]
    table.reset(*halves([]))
    assert table.size == 0 and table.add(*halves([(0, 0), (0, 0)]))[0].tolist() == [0, 0]


def test_many_pairs_with_one_half_in_common():
    pairs = [(5, i << 40) for i in range(100_000)]
    assert PairTable().add(*halves(pairs))[0].tolist() == list(range(len(pairs)))
