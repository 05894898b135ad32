import collections
import math

import numpy as np
import pytest

from devise_tf.text.skip_gram_blocks import CHUNK, _draws, draw_keys, keep_probabilities
from tests.helpers.word2vec_oracle import blocks_of_pairs, kept_terms, make_blocks, splitmix, zipf_corpus


def batch_of(blocks, chunks, epoch=0, seed=0):
    return blocks.batch(np.asarray(chunks), np.full(len(chunks), epoch), seed)


def unpack(batch, tree):
    """The (context, center) pairs of a batch, and its centers, block by block; centers are told by their paths."""
    paths = {}
    for term, (nodes, codes, length) in enumerate(zip(tree.nodes, tree.codes, tree.lengths, strict=True)):
        paths[frozenset((int(n), 1 - 2 * int(c)) for n, c in zip(nodes[:length], codes[:length], strict=True))] = term
    pairs, centers = [], []
    for contexts, mask, nodes, signs in zip(
        batch["contexts"], batch["mask"], batch["nodes"], batch["signs"], strict=True
    ):
        pairs.append([])
        centers.append([])
        for i, row in enumerate(signs):
            on_path = np.flatnonzero(row)
            if not len(on_path):
                assert not mask[:, i].any()
                continue
            path = [(int(nodes[u]), int(row[u])) for u in on_path]
            assert len(set(path)) == len(path)
            centers[-1].append(paths[frozenset(path)])
            pairs[-1] += [(int(contexts[j]), centers[-1][-1]) for j in np.flatnonzero(mask[:, i])]
    return pairs, centers


def flat(lists):
    return [item for part in lists for item in part]


def in_use(batch, name):
    """The scales of the rows that a pair touches, not of padding."""
    touched = batch["mask"].any(axis=2) if name == "context_scales" else (batch["signs"] != 0).any(axis=1)
    return batch[name][touched]


def test_keep_probabilities_are_those_of_word2vec_c():
    counts, sample = [50_000, 900, 100, 3, 1], 1e-3
    words = sum(counts)
    expected = [min(1, (math.sqrt(c / (sample * words)) + 1) * (sample * words) / c) for c in counts]
    assert 0 < expected[0] < expected[1] < expected[2] == 1
    np.testing.assert_allclose(keep_probabilities(counts, sample), expected, rtol=1e-12)
    np.testing.assert_array_equal(keep_probabilities(counts, 0), np.ones(5))
    np.testing.assert_array_equal(keep_probabilities([5, 0], 1e-3)[1], 1)
    with pytest.raises(ValueError, match="Received: sample=-1"):
        keep_probabilities(counts, -1)


def test_draws_are_splitmix64():
    """The reference implementation's first outputs from the state 0, and the oracle's from others."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert _draws(np.uint64(0), np.arange(1, 4)).tolist() == published
    assert [splitmix(0, position) for position in (1, 2, 3)] == published
    positions = np.array([0, 1, 250, 2**31, 2**40 + 7])
    for key in (0, 1, 2**64 - 1):
        assert _draws(np.uint64(key), positions).tolist() == [splitmix(key, int(position)) for position in positions]
    keys = {tuple(draw_keys(seed, epoch).tolist()) for seed in range(20) for epoch in range(20)}
    assert len({key for pair in keys for key in pair}) == 800


@pytest.mark.parametrize("chunk_size", [1, 7, 60, CHUNK])
@pytest.mark.parametrize("sample", [0, 0.01])
@pytest.mark.parametrize(("window", "block_size"), [(1, 3), (4, 1), (4, 8), (11, 5), (2, 300)])
def test_blocks_are_those_of_word2vecs_loop(window, block_size, sample, chunk_size):
    """Over the whole corpus: windows end at its ends and at those of sentences, not at those of chunks."""
    ids, counts = zipf_corpus(40, 1000, ends=0.04)
    ids[300:340] = -1
    blocks = make_blocks(ids, counts, window=window, sample=sample, block_size=block_size, chunk_size=chunk_size)
    assert blocks.num_chunks == math.ceil(1000 / chunk_size)
    rng = np.random.default_rng(1)
    chunks = rng.permutation(blocks.num_chunks)[:60].tolist()
    epochs = rng.integers(0, 3, len(chunks)).tolist()
    batch = blocks.batch(np.array(chunks), np.array(epochs), seed=5)
    expected = blocks_of_pairs(blocks, chunks, epochs, seed=5)
    pairs, centers = unpack(batch, blocks.tree)
    # A chunk of which nothing is kept has a block, too, of nothing.
    filled = [i for i, block in enumerate(centers) if block]
    assert [centers[i] for i in filled] == [block for _, block, _ in expected]
    assert [pairs[i] for i in filled] == [block for _, _, block in expected]
    assert batch["pairs"] == len(flat(pairs)) > 10


def test_every_term_is_a_center_once():
    """What is kept does not depend on how the corpus is cut."""
    ids, counts = zipf_corpus(40, 1000)
    for chunk_size in (33, 250, 5000):
        blocks = make_blocks(ids, counts, sample=0.02, chunk_size=chunk_size)
        _, centers = unpack(batch_of(blocks, range(blocks.num_chunks), epoch=2, seed=3), blocks.tree)
        assert flat(centers) == [term for _, term, _ in kept_terms(blocks, 2, 3)]
        assert len(flat(centers)) < 0.9 * np.count_nonzero(ids >= 0)


def test_windows_cross_the_ends_of_chunks():
    blocks = make_blocks(np.arange(12), window=1, block_size=4, chunk_size=4)
    pairs, _ = unpack(batch_of(blocks, [1]), blocks.tree)
    assert pairs == [[(3, 4), (5, 4), (4, 5), (6, 5), (5, 6), (7, 6), (6, 7), (8, 7)]]


@pytest.mark.parametrize("chunk_size", [4, 40])
def test_contexts_beyond_the_halo_are_not_met(chunk_size):
    """A term that is never kept separates the others; `halo` ids from the chunk on, none is looked for."""
    counts = np.array([10**15, *range(9, 1, -1)])
    for gap in (1, 15, 16, 17, 40):
        ids = np.array([1, *[0] * gap, 2, *[0] * gap, 3])
        blocks = make_blocks(ids, counts, window=1, sample=1e-14, chunk_size=chunk_size)
        assert blocks.halo == 16
        chunks = range(blocks.num_chunks)
        pairs, _ = unpack(batch_of(blocks, chunks), blocks.tree)
        assert flat(pairs) == flat(block for _, _, block in blocks_of_pairs(blocks, chunks, [0] * len(chunks)))
        if gap < blocks.halo:
            assert flat(pairs) == [(2, 1), (1, 2), (3, 2), (2, 3)]
        elif gap == 40 > chunk_size:
            assert flat(pairs) == []


def test_kept_share_over_many_epochs():
    """Each of 200 passes keeps a term's occurrences binomially; four standard deviations are allowed."""
    rng = np.random.default_rng(0)
    ids = rng.choice(6, CHUNK, p=[0.5, 0.2, 0.15, 0.1, 0.04, 0.01])
    counts = np.bincount(ids, minlength=6)
    blocks = make_blocks(ids, sample=0.01, window=1)
    draws = 200
    _, centers = unpack(blocks.batch(np.zeros(draws, int), np.arange(draws)), blocks.tree)
    kept = np.bincount(flat(centers), minlength=6)
    keep = keep_probabilities(counts, 0.01)
    trials = draws * counts
    assert keep[0] < 0.2 and keep[5] == 1
    assert np.all(np.abs(kept - trials * keep) <= 4 * np.sqrt(trials * keep * (1 - keep)))


@pytest.mark.parametrize("block_size", [1, 8])
def test_reaches_are_uniform(block_size):
    """Of a block whose windows nothing cuts; those of blocks and of passes are independent."""
    window, epochs = 4, 50
    blocks = make_blocks(np.arange(CHUNK), window=window, block_size=block_size)
    pairs, _ = unpack(blocks.batch(np.zeros(epochs, int), np.arange(epochs)), blocks.tree)
    reaches = np.array([max(abs(context - center) for context, center in block) for block in pairs])
    counts = collections.Counter(reaches.tolist())
    assert set(counts) == {1, 2, 3, 4}
    p, total = 1 / window, len(reaches)
    assert all(abs(n - total * p) <= 4 * math.sqrt(total * p * (1 - p)) for n in counts.values())
    table = reaches.reshape(epochs, -1).astype(float)
    for one, other in ((table[:, :-1], table[:, 1:]), (table[:-1], table[1:])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / math.sqrt(one.size)


def test_nearer_contexts_are_met_more_often():
    """A pair at distance d is there if the reach is at least d: with probability (window - d + 1) / window."""
    window, draws, block_size = 5, 60, 8
    blocks = make_blocks(np.arange(CHUNK), window=window, block_size=block_size)
    pairs, _ = unpack(blocks.batch(np.zeros(draws, int), np.arange(draws)), blocks.tree)
    signed = np.array([context - center for context, center in flat(pairs)])
    for d in range(1, window + 1):
        possible = draws * (CHUNK - d)
        p = (window - d + 1) / window
        for result in (np.sum(signed == d), np.sum(signed == -d)):
            # A block's pairs stand and fall together.
            assert abs(result - possible * p) <= 4 * math.sqrt(possible * block_size * p * (1 - p))


def test_blocks_are_a_function_of_chunk_epoch_and_seed_alone():
    ids, counts = zipf_corpus(40, 800)
    blocks = make_blocks(ids, counts, sample=0.01)
    batch = batch_of(blocks, [0, 1, 2], seed=5)
    together, centers = unpack(batch, blocks.tree)
    alone = [batch_of(blocks, [chunk], seed=5) for chunk in (0, 1, 2)]
    assert together == [block for part in alone for block in unpack(part, blocks.tree)[0]]
    np.testing.assert_array_equal(batch["mask"], np.concatenate([part["mask"] for part in alone]))
    for name in ("context_scales", "node_scales"):
        np.testing.assert_array_equal(in_use(batch, name), np.concatenate([in_use(part, name) for part in alone]))
    assert together != unpack(batch_of(blocks, [0, 1, 2], seed=6), blocks.tree)[0]
    assert together != unpack(batch_of(blocks, [0, 1, 2], epoch=1, seed=5), blocks.tree)[0]
    for block_size in (1, 13, 200):
        other = make_blocks(ids, counts, sample=0.01, block_size=block_size)
        assert flat(unpack(batch_of(other, [0, 1, 2], seed=5), other.tree)[1]) == flat(centers)


def test_a_corpus_may_be_mapped_from_a_file(tmp_path):
    ids, counts = zipf_corpus(40, 800)
    ids.tofile(tmp_path / "corpus.ids")
    mapped = make_blocks(ids, counts, sample=0.01)
    mapped.ids = np.memmap(tmp_path / "corpus.ids", np.int32, mode="r")
    for name, value in batch_of(make_blocks(ids, counts, sample=0.01), [3, 0]).items():
        np.testing.assert_array_equal(batch_of(mapped, [3, 0])[name], value)


def test_shapes_and_dtypes():
    rng = np.random.default_rng(5)
    blocks = make_blocks(rng.integers(0, 25, 1500), window=3, block_size=7)
    batch = batch_of(blocks, [0])
    groups = math.ceil(CHUNK / 7)
    assert batch["contexts"].shape == (groups, 13) and batch["contexts"].dtype == np.int32
    assert batch["mask"].shape == (groups, 13, 7) and batch["mask"].dtype == np.uint8
    assert batch["nodes"].shape[0] == groups and batch["nodes"].dtype == np.int32
    assert batch["signs"].shape == (groups, 7, batch["nodes"].shape[1]) and batch["signs"].dtype == np.int8
    for nodes, signs in zip(batch["nodes"], batch["signs"], strict=True):
        used = nodes[np.any(signs != 0, axis=0)]
        assert len(set(used)) == len(used)
    assert batch["contexts"].min() >= 0 and batch["contexts"].max() < 25


def test_last_chunk_may_be_short():
    ids = np.arange(CHUNK + 3)
    blocks = make_blocks(ids, window=2)
    assert blocks.num_chunks == 2
    pairs, centers = unpack(batch_of(blocks, [1]), blocks.tree)
    assert centers == [[CHUNK, CHUNK + 1, CHUNK + 2]]
    assert {(CHUNK - 1, CHUNK), (CHUNK, CHUNK + 1), (CHUNK + 1, CHUNK), (CHUNK + 1, CHUNK + 2)} <= set(flat(pairs))
    assert make_blocks(np.arange(CHUNK)).num_chunks == 1


@pytest.mark.parametrize("why", ["no terms", "all subsampled away"])
def test_empty_chunk(why):
    terms = np.zeros(CHUNK, int) if why != "no terms" else np.full(CHUNK, -1)
    ids = np.concatenate([terms, [0, 1, 2, 1]])
    counts, sample = ([10**15, 10, 10], 1e-14) if why != "no terms" else ([9, 8, 7], 0)
    blocks = make_blocks(ids, counts, sample=sample)
    batch = batch_of(blocks, [0])
    assert batch["pairs"] == 0 and not batch["mask"].any() and not batch["signs"].any()
    assert batch["contexts"].shape == (1, 11) and batch["nodes"].shape == (1, 1)
    # Beside others it changes nothing.
    np.testing.assert_array_equal(batch_of(blocks, [0, 1])["pairs"], batch_of(blocks, [1])["pairs"])


@pytest.mark.parametrize("chunks_per_step", [1, 6])
@pytest.mark.parametrize("sample", [0, 2e-3])
def test_scales(sample, chunks_per_step):
    """`min(1, cap / m)` with the chunk's own pairs `m`, which are counted here pair by pair.

    A vector that is expected in a share `s` of the chunks has the cap `summed / max(1, s * chunks_per_step)`.
    """
    size, chunks, summed = 60, 6, 3.0
    ids, counts = zipf_corpus(size, CHUNK * chunks, ends=0.4, exponent=1.5, seed=6)
    blocks = make_blocks(ids, counts, sample=sample, chunks_per_step=chunks_per_step, summed_updates=summed)
    tree = blocks.tree
    paths = [tree.nodes[t, : tree.lengths[t]] for t in range(size)]
    in_chunk = counts * keep_probabilities(counts, sample) / chunks
    node_in_chunk = np.zeros(size - 1)
    for term, path in enumerate(paths):
        node_in_chunk[path] += in_chunk[term]
    some_scaled = some_not = False
    for chunk in (0, 3):
        batch = batch_of(blocks, [chunk])
        pairs, _ = unpack(batch, tree)
        m, node_m = np.zeros(size), np.zeros(size - 1)
        for context, center in flat(pairs):
            m[context] += 1
            node_m[paths[center]] += 1
        for rows, name, touched, totals, expected in (
            ("contexts", "context_scales", batch["mask"].any(axis=2), m, in_chunk),
            ("nodes", "node_scales", (batch["signs"] != 0).any(axis=1), node_m, node_in_chunk),
        ):
            caps = summed / np.maximum(1, chunks_per_step * np.minimum(1, expected))
            right = np.minimum(1, caps / np.maximum(1, totals))
            assert batch[name].dtype == np.float32 and batch[name].shape == batch[rows].shape
            np.testing.assert_allclose(batch[name][touched], right[batch[rows]][touched], rtol=1e-4)
            some_scaled |= bool(np.any(right[totals > 0] < 0.1))
            some_not |= bool(np.any(right[totals > 0] == 1))
    assert some_scaled and some_not


def test_bad_arguments():
    with pytest.raises(ValueError, match="Received: window=0"):
        make_blocks([0, 1], window=0)
    with pytest.raises(ValueError, match="Received: block_size=0"):
        make_blocks([0, 1], block_size=0)
    with pytest.raises(ValueError, match="Received: chunk_size=0"):
        make_blocks([0, 1], chunk_size=0)
    with pytest.raises(ValueError, match="Received: chunks_per_step=0"):
        make_blocks([0, 1], chunks_per_step=0)
    with pytest.raises(ValueError, match="Received: sample=-0.1"):
        make_blocks([0, 1], sample=-0.1)
    with pytest.raises(ValueError, match="holds no terms"):
        make_blocks([], counts=[1, 1])


def test_blocks_of_a_chunk_are_as_even_as_can_be():
    """No room is left for centers that there are not: 90 centers in blocks of at most 32 are three times 30."""
    blocks = make_blocks(np.arange(90), window=2, block_size=32, chunk_size=90)
    batch = batch_of(blocks, [0])
    assert batch["contexts"].shape == (3, 34) and batch["mask"].shape == (3, 34, 30)
    assert (batch["signs"] != 0).any(axis=2).sum() == 90
