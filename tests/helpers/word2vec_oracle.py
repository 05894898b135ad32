"""What skip-gram trains on, in plain Python: the terms of a corpus that are kept, and word2vec's loop over them."""

import numpy as np

from devise_tf.text import HuffmanTree, SkipGramBlocks
from devise_tf.text.skip_gram_blocks import keep_probabilities

WORD = 2**64 - 1


def splitmix(key, position):
    """Output number `place` of SplitMix64 from the state `key`, in Python's integers."""
    x = (key + 0x9E3779B97F4A7C15 * position) & WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def make_blocks(ids, counts=None, **arguments):
    """Blocks of these ids; the arguments that are not given, and not the library's own defaults, are here."""
    ids = np.asarray(ids, np.int32)
    counts = np.bincount(ids[ids >= 0]) if counts is None else np.asarray(counts)
    arguments = {"window": 5, "sample": 0, "block_size": 8} | arguments
    blocks = SkipGramBlocks(ids, counts, HuffmanTree.from_counts(counts), **arguments)
    blocks.sample = arguments["sample"]
    return blocks


def zipf_corpus(size, length, ends=0.03, exponent=1.0, seed=0):
    """Terms drawn by Zipf's law, with sentence ends, runs of them too, and their counts, none of which is 0."""
    rng = np.random.default_rng(seed)
    p = 1 / np.arange(1, size + 1) ** exponent
    ids = rng.choice(size, length, p=p / p.sum()).astype(np.int32)
    ids[rng.random(length) < ends] = -1
    return ids, np.maximum(1, np.bincount(ids[ids >= 0], minlength=size))


def kept_terms(blocks, epoch, seed):
    """(place, term, number of the sentence) of each id that one pass over the whole corpus keeps."""
    key = splitmix(splitmix(splitmix(0, seed), epoch), 1)
    keep = keep_probabilities(blocks.counts, blocks.sample).astype(np.float32)
    kept, sentence = [], 0
    for position, term in enumerate(blocks.ids.tolist()):
        if term < 0:
            sentence += 1
        elif (splitmix(key, position) >> 40) / 2**24 < keep[term]:
            kept.append((position, term, sentence))
    return kept


def blocks_of_places(blocks, chunks, epochs, seed=0):
    """The blocks of some chunks, in order: for each the chunk's place in `chunks`, the kept terms, and as places among
    them the centers and word2vec's pairs of context and center.
    """
    result, memo = [], {}
    for number, (chunk, epoch) in enumerate(zip(chunks, epochs, strict=True)):
        if epoch not in memo:
            memo[epoch] = kept_terms(blocks, epoch, seed)
        kept = memo[epoch]
        key = splitmix(splitmix(splitmix(0, seed), epoch), 2)
        start, stop = chunk * blocks.chunk_size, (chunk + 1) * blocks.chunk_size
        centers = [i for i, (position, _, _) in enumerate(kept) if start <= position < stop]
        # As few blocks as the size allows, and as even as they can be: of the same size, but the last.
        count = -(-len(centers) // blocks.block_size)
        size = next((size for size in range(1, len(centers) + 1) if size * count >= len(centers)), 1)
        for first in range(0, len(centers), size):
            block, pairs = centers[first : first + size], []
            reach = 1 + (splitmix(key, kept[block[0]][0]) >> 32) % blocks.window
            for i in block:
                for a in range(-reach, reach + 1):
                    if a == 0 or not 0 <= i + a < len(kept):
                        continue
                    position, _, sentence = kept[i + a]
                    if sentence == kept[i][2] and start - blocks.halo <= position < stop + blocks.halo:
                        pairs.append((i + a, i))
            result.append((number, kept, block, pairs))
    return result


def blocks_of_pairs(blocks, chunks, epochs, seed=0):
    """The blocks of some chunks, in order: for each the chunk's place in `chunks`, the centers and word2vec's pairs."""
    return [
        (number, [kept[i][1] for i in block], [(kept[j][1], kept[i][1]) for j, i in pairs])
        for number, kept, block, pairs in blocks_of_places(blocks, chunks, epochs, seed)
    ]


def topics_corpus(sentences, topics=4, words=6, seed=0):
    """Sentences of one topic each, with two words that all topics share."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, topics, sentences)[:, None]
    ids = 2 + topic * words + rng.integers(0, words, (sentences, 9))
    common = rng.random(ids.shape) < 0.3
    ids[common] = rng.integers(0, 2, common.sum())
    return np.concatenate([ids, np.full((sentences, 1), -1)], axis=1).ravel().astype(np.int32)
