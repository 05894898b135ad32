"""The engine against the formula, its arguments and what it counts."""

import numpy as np
import pytest

from devise_tf.training.engine.skip_gram_engine import BLOCKS, SkipGramEngine, available_cores
from tests.helpers.engine_oracle import assert_engine_is_right, random_tables
from tests.helpers.word2vec_oracle import blocks_of_pairs, make_blocks, zipf_corpus


def every(blocks, rate=0.05, epoch=0):
    """The arguments of `train` for one pass over the corpus."""
    count = blocks.num_chunks
    return np.arange(count), np.full(count, epoch), np.full(count, rate)


@pytest.mark.parametrize(
    ("dimension", "window", "block_size", "chunk_size", "summed", "sample"),
    [
        (1, 3, 4, 30, 1e9, 0),
        (6, 2, 5, 5, 4.0, 0.01),
        (16, 5, 1, 250, 1e9, 0.01),
        (16, 1, 4, 1, 32.0, 0),
        (40, 7, 4, 250, 20.0, 0),
        (100, 5, 4, 250, 32.0, 0.01),
        (128, 3, 16, 100, 10.0, 0.01),
        (300, 10, 4, 250, 16.0, 0.01),
        (20, 4, 300, 250, 6.0, 0),
    ],
)
def test_engine_equals_the_formula(dimension, window, block_size, chunk_size, summed, sample):
    assert_engine_is_right(
        dimension, window=window, block_size=block_size, chunk_size=chunk_size, summed_updates=summed, sample=sample
    )


def test_vocabulary_of_two_terms():
    assert_engine_is_right(5, size=2, length=80, rate=0.02, window=2, block_size=4, chunk_size=30, summed_updates=8.0)


def test_large_logits_saturate():
    """Logits of some hundreds, at which a sigmoid is 0 or 1 and an exponential leaves float32."""
    assert_engine_is_right(8, length=300, rate=0.02, scale=10.0, window=3, block_size=4, summed_updates=32.0)


def test_sentences_of_one_term_teach_nothing():
    ids = np.array([3, -1, 2, -1, 1, -1, 0, -1, -1, 3, -1])
    blocks = make_blocks(ids, np.array([4, 3, 2, 1]), chunk_size=3, block_size=2)
    tables = random_tables(blocks, 12)
    engine = SkipGramEngine(blocks, *tables, threads=1)
    assert engine.train(*every(blocks), measured=1) == {"nats": 0, "measured_pairs": 0}
    np.testing.assert_array_equal(engine.vectors(), tables[0])
    np.testing.assert_array_equal(engine.nodes(), tables[1])
    assert engine.pairs == engine.operations == engine.bytes == 0


def test_chunks_whose_terms_are_all_subsampled():
    """The frequent term is never kept: whole chunks are empty, one after the last sentence, too."""
    ids = np.concatenate([np.zeros(60, int), [1, 2, 3, -1], np.full(40, -1), [2, 1], np.zeros(50, int)])
    blocks = make_blocks(ids, np.array([10**15, 9, 8, 7]), sample=1e-14, window=2, chunk_size=10, block_size=2)
    engine = SkipGramEngine(blocks, *random_tables(blocks, 8), threads=1)
    engine.train(*every(blocks))
    expected = blocks_of_pairs(blocks, range(blocks.num_chunks), [0] * blocks.num_chunks)
    assert engine.pairs == sum(len(pairs) for _, _, pairs in expected) >= 6
    assert len(expected) == 3


def test_ids_may_be_mapped_from_a_file(tmp_path):
    ids, counts = zipf_corpus(40, 700)
    ids.tofile(tmp_path / "corpus.ids")
    result = []
    for source in (ids, np.memmap(tmp_path / "corpus.ids", np.int32, mode="r")):
        blocks = make_blocks(ids, counts)
        blocks.ids = source
        engine = SkipGramEngine(blocks, *random_tables(blocks, 8), threads=1)
        engine.train(*every(blocks))
        result.append(engine.vectors())
    np.testing.assert_array_equal(*result)


def test_initial_tables_are_copied():
    ids, counts = zipf_corpus(40, 700)
    blocks = make_blocks(ids, counts)
    tables = random_tables(blocks, 16)
    copies = [table.copy() for table in tables]
    SkipGramEngine(blocks, *tables, threads=1).train(*every(blocks))
    for table, copy in zip(tables, copies, strict=True):
        np.testing.assert_array_equal(table, copy)


def test_loss_is_measured_on_a_share_of_the_blocks():
    """At a learning rate of 0 the whole loss is known; one block in 16 is measured, and tells it nearly."""
    ids, counts = zipf_corpus(40, 60_000)
    blocks = make_blocks(ids, counts, **BLOCKS)
    engine = SkipGramEngine(blocks, *random_tables(blocks, 8), threads=1)
    whole = engine.train(*every(blocks, rate=0.0), measured=1)
    pairs = engine.pairs
    assert whole["measured_pairs"] == pairs
    part = engine.train(*every(blocks, rate=0.0), measured=16)
    assert engine.pairs == 2 * pairs
    # Some 900 of 15,000 blocks, of unequal sizes.
    assert part["measured_pairs"] / pairs == pytest.approx(1 / 16, rel=0.15)
    assert part["nats"] / part["measured_pairs"] == pytest.approx(whole["nats"] / pairs, rel=0.02)
    again = engine.train(*every(blocks, rate=0.0, epoch=1), measured=16)
    assert again["measured_pairs"] != part["measured_pairs"]


def test_work_is_counted():
    """One block of two centres, three contexts and, in a vocabulary of three, two nodes."""
    blocks = make_blocks([0, 1, 2], np.array([3, 2, 1]), window=1, block_size=3, chunk_size=3)
    engine = SkipGramEngine(blocks, *random_tables(blocks, 10), threads=1)
    engine.train(*every(blocks))
    assert (engine.pairs, engine.operations, engine.bytes) == (4, 6 * 2 * 3 * 10, 8 * (2 + 3) * 10)


def test_invalid_arguments_of_the_engine():
    blocks = make_blocks([0, 1, 2], np.array([3, 2, 1]))
    vectors, nodes = random_tables(blocks, 4)
    for bad in ((vectors[:2], nodes), (vectors, vectors), (vectors[:, :3], nodes), (vectors[0], nodes)):
        with pytest.raises(ValueError, match=r"`vectors` and `nodes` must be .* V = 3. Received: shapes \("):
            SkipGramEngine(blocks, *bad)
    with pytest.raises(ValueError, match="Received: threads=-1"):
        SkipGramEngine(blocks, vectors, nodes, threads=-1)
    assert SkipGramEngine(blocks, vectors, nodes).threads == available_cores() >= 1
    engine = SkipGramEngine(blocks, vectors, nodes, threads=1)
    for bad, error in (
        (([0], [0], [0.1, 0.1]), r"as long as each other. Received: shapes \(1,\), \(1,\) and \(2,\)"),
        (([0, 1], [0, 0], [0.1, 0.1]), r"in \[0, 1\). Received: minimum=0, maximum=1"),
        (([-1], [0], [0.1]), "Received: minimum=-1"),
        (([0], [0], [0.1], 0), "Received: measured=0"),
    ):
        with pytest.raises(ValueError, match=error):
            engine.train(*map(np.array, bad))
    np.testing.assert_array_equal(engine.vectors(), vectors)
