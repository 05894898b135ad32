"""The quality of vectors, above all nats per held-out pair: the likelihood of text that no training saw."""

import numpy as np

from tests.benchmarks.corpora import Prepared


def window_pairs(ids: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """All (context, center) pairs within the full reach of the window: nothing is drawn, nothing subsampled.

    Args:
        ids: int [T], ids and, between sentences, -1.
        window: Reach to either side.

    Returns:
        Contexts and centers, int32 [P] each.
    """
    ids = np.asarray(ids, np.int32)
    sentence = np.cumsum(ids < 0)
    contexts, centers = [], []
    for distance in range(1, window + 1):
        left, right = ids[:-distance], ids[distance:]
        pairs = (left >= 0) & (right >= 0) & (sentence[:-distance] == sentence[distance:])
        contexts += [left[pairs], right[pairs]]
        centers += [right[pairs], left[pairs]]
    return np.concatenate(contexts), np.concatenate(centers)


def nats_per_pair(
    vectors: np.ndarray,
    nodes: np.ndarray,
    points: list[np.ndarray],
    codes: list[np.ndarray],
    contexts: np.ndarray,
    centers: np.ndarray,
) -> float:
    """The mean negative log-likelihood of centers, given their contexts.

    ```
    nats(context, center) = -sum over the center's path of log sigmoid((1 - 2 code) node . vector(context))
    ```

    Code 0 stands for sigmoid(+x) and code 1 for sigmoid(-x), as in word2vec, gensim and this package.

    Args:
        vectors: float32 [V, D]. Term vectors.
        nodes: float32 [N, D]. Vectors of the tree's inner nodes.
        points: For each term the rows of `nodes` on its path.
        codes: For each term the branch, 0 or 1, taken at each of them.
        contexts: int [P]. Context terms.
        centers: int [P]. The terms predicted.

    Returns:
        Nats a pair.
    """
    if not len(centers):
        raise ValueError("There must be a pair at least: hold out more text. Received: 0 pairs")
    # A center's path is read once, and each of its contexts once with its number of occurrences.
    pairs, occurrences = np.unique(np.asarray(centers, np.int64) * len(vectors) + contexts, return_counts=True)
    pair_centers, pair_contexts = np.divmod(pairs, len(vectors))
    starts = np.flatnonzero(np.diff(pair_centers, prepend=-1))
    total = 0.0
    for start, stop in zip(starts, np.append(starts[1:], len(pairs)), strict=True):
        center = pair_centers[start]
        signs = 1.0 - 2.0 * np.asarray(codes[center], np.float64)
        logits = vectors[pair_contexts[start:stop]] @ nodes[points[center]].T
        total += occurrences[start:stop] @ np.logaddexp(0, -signs * logits).sum(axis=1)
    return float(total / len(centers))


def evaluate(
    prepared: Prepared,
    vectors: np.ndarray,
    nodes: np.ndarray,
    points: list[np.ndarray],
    codes: list[np.ndarray],
    window: int = 10,
) -> dict:
    """Measures the quality of vectors, the same for every trainer; the rows are in the vocabulary's order.

    Args:
        prepared: The corpus, which names the terms and holds the sentences held out.
        vectors: float32 [V, D].
        nodes: float32 [V - 1, D], or more rows.
        points: Rows of `nodes` on each term's path.
        codes: Branches on each term's path.
        window: Reach of the held-out pairs.

    Returns:
        `nats` a held-out pair; Spearman's correlation with WordSim-353 and SimLex-999, and the share of Google's
        analogies solved among the 30,000 most frequent terms, case-insensitive, each with the share of its questions
        whose words are in the vocabulary.
    """
    from gensim.models import KeyedVectors
    from gensim.test.utils import datapath

    contexts, centers = window_pairs(np.load(prepared.path("held_out.npy")), window)
    result = {"nats": nats_per_pair(vectors, nodes, points, codes, contexts, centers)}
    result["held_out_pairs"] = len(centers)
    results = KeyedVectors(vectors.shape[1])
    results.add_vectors(prepared.vocabulary().terms, vectors)
    for name, file in (("wordsim353", "wordsim353.tsv"), ("simlex999", "simlex999.txt")):
        _, spearman, missing = results.evaluate_word_pairs(datapath(file))
        result |= {name: float(spearman[0]), f"{name}_coverage": 1 - missing / 100}
    path = datapath("questions-words.txt")
    score, sections = results.evaluate_word_analogies(path, restrict_vocab=30000, case_insensitive=True)
    asked = len(sections[-1]["correct"]) + len(sections[-1]["incorrect"])
    with open(path, encoding="utf-8") as file:
        questions = sum(not line.startswith(":") for line in file)
    return result | {"analogies": float(score), "analogies_coverage": asked / questions}
