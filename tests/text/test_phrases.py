import random

import numpy as np
import pytest

from devise_tf.text import Corpus, Vocabulary, encode_corpus, find_phrases, tokenize
from devise_tf.text.term_matcher import TermMatcher


@pytest.fixture
def corpus(tmp_path):
    def make(lines):
        (tmp_path / "corpus.txt").write_text("\n".join(lines), encoding="utf-8")
        return Corpus(str(tmp_path / "corpus.txt"))

    return make


def collocated_lines(count=2000, seed=0):
    """Random words, among which some follow each other again and again."""
    rng = random.Random(seed)
    words = [f"w{i}" for i in range(200)]
    chunks = [["new", "york"], ["new", "york", "times"], ["hong", "kong"], ["snow", "leopard"], ["é", "豹"]]
    lines = []
    for _ in range(count):
        line = []
        for _ in range(rng.randint(0, 8)):
            line += rng.choice(chunks) if rng.random() < 0.1 else [rng.choice(words)]
        lines.append(" ".join(line))
    return lines


def naive_phrases(lines, label_terms, thresholds, min_count, discount):
    """The formula, line by line with dictionaries."""
    label_matcher, labels = TermMatcher(label_terms), {"_".join(tokenize(term)) for term in label_terms}
    phrases = {}
    for threshold in thresholds:
        matcher = TermMatcher(phrases)
        singles, pairs = {}, {}
        for line in lines:
            terms = matcher(label_matcher(tokenize(line)))
            for term in terms:
                singles[term] = singles.get(term, 0) + 1
            for pair in zip(terms, terms[1:], strict=False):
                if not labels.intersection(term for term in pair if "_" in term):
                    pairs[pair] = pairs.get(pair, 0) + 1
        result = {}
        for (a, b), n in pairs.items():
            score = (n - discount) / (singles[a] * singles[b]) * sum(singles.values())
            if n >= min_count and score > threshold and f"{a}_{b}" not in labels:
                result[f"{a}_{b}"] = max(score, result.get(f"{a}_{b}", 0))
        phrases = {**result, **phrases}
    return phrases


@pytest.mark.parametrize("label_terms", [[], ["Snow leopard", "york w1", "w7"]])
@pytest.mark.parametrize("passes", [1, 2, 3])
def test_equals_the_formula(corpus, label_terms, passes):
    lines = collocated_lines()
    phrases = find_phrases(corpus(lines), label_terms, passes, threshold=8.0, min_count=3, discount=1.5)
    expected = naive_phrases(lines, label_terms, [8 / 2**i for i in range(passes)], 3, 1.5)
    assert phrases == pytest.approx(expected, rel=1e-12)
    assert {"new_york", "hong_kong", "é_豹"} <= set(phrases)
    assert ("snow_leopard" in phrases) == (not label_terms)
    assert ("new_york_times" in phrases) == (passes > 1)
    assert list(phrases.values()) == sorted(phrases.values(), reverse=True)


def test_equals_gensim(corpus):
    """gensim multiplies by the number of different words and pairs, where word2phrase has that of all words."""
    from gensim.models.phrases import Phrases

    lines = collocated_lines(seed=1)
    words = [tokenize(line) for line in lines]
    theirs = Phrases(words, min_count=4, threshold=0.5, max_vocab_size=10**6, delimiter="_")
    expected = theirs.export_phrases()
    scale = sum(map(len, words)) / len(theirs.vocab)
    result = find_phrases(corpus(lines), passes=1, threshold=0.5 * scale, min_count=4, discount=4)
    assert len(expected) >= 5
    assert {phrase: score / scale for phrase, score in result.items()} == pytest.approx(expected, rel=1e-9)


def test_vocabulary_and_encoding_agree(tmp_path, corpus):
    lines = collocated_lines()
    text, labels = corpus(lines), ["snow leopard", "york times", "hong"]
    phrases = find_phrases(text, labels, threshold=8.0)
    vocabulary = Vocabulary.build(text, min_count=30, label_terms=labels, phrases=phrases)
    assert {"new_york", "hong_kong"} <= vocabulary.phrases and "york_times" in vocabulary.index
    encoded = encode_corpus(text, vocabulary, tmp_path / "corpus.ids")
    ids = encoded.ids[encoded.ids >= 0]
    np.testing.assert_array_equal(np.bincount(ids, minlength=len(vocabulary)), vocabulary.counts)
    # "york times" is guaranteed, so "new york" stands in front of other words only.
    joined = [TermMatcher(phrases)(TermMatcher(labels)(tokenize(line))) for line in lines]
    expected = [[vocabulary.index[term] for term in line if term in vocabulary.index] for line in joined]
    assert encoded.ids.tolist() == [i for line in expected if line for i in [*line, -1]]


def test_bounded_memory_keeps_the_frequent(corpus, monkeypatch):
    monkeypatch.setattr("devise_tf.text.corpus._MAX_LINE_BYTES", 2000)
    lines = [f"{line} rare{i} rarer{i}" for i, line in enumerate(collocated_lines())]
    phrases = find_phrases(corpus(lines), threshold=8.0, max_entries=400)
    assert {"new_york", "new_york_times", "hong_kong", "snow_leopard"} <= set(phrases)


def test_rare_pairs_give_no_phrases(corpus):
    assert find_phrases(corpus(["snow leopard"])) == {}
    assert find_phrases(corpus(["snow"]), min_count=1, discount=0) == {}


@pytest.mark.parametrize(
    "wrong", [{"passes": 0}, {"min_count": 0}, {"max_entries": 0}, {"threshold": 0.0}, {"discount": -1.0}]
)
def test_errors(corpus, wrong):
    [(name, value)] = wrong.items()
    with pytest.raises(ValueError, match=f"Received: .*{name}={value}"):
        find_phrases(corpus(["snow"]), **wrong)
