import random

import pytest

from devise_tf.text import Corpus
from devise_tf.text.id_matcher import IdMatcher, read_ids
from devise_tf.text.term_matcher import TermMatcher
from devise_tf.text.word_index import WordIndex


def matched(index, matchers, text, add=False):
    """The terms of each line; "?" for words that are not in the index."""
    ids = index.ids(text.encode(), add)
    for matcher in matchers:
        ids = matcher(ids)
    lines, words = [[]], index.words()
    for i in ids.tolist():
        if i == -1:
            lines.append([])
        else:
            lines[-1].append(words[i] if i >= 0 else "?")
    return lines[:-1]


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("most_words", [2, 5])
def test_equals_term_matcher(add, most_words):
    rng = random.Random(0)
    terms = list({"_".join(rng.choices("abcd", k=rng.randint(1, most_words))) for _ in range(30)})
    phrases = [p for p in {"_".join(rng.choices("abce", k=rng.randint(2, 3))) for _ in range(20)} if p not in terms]
    index = WordIndex()
    matchers = [IdMatcher(index, terms), IdMatcher(index, phrases)]
    by_words = [TermMatcher(terms), TermMatcher(phrases)]
    for size in [1, 2, 3, 2000]:
        lines = [rng.choices("abcdefgh", k=rng.randint(0, 12)) for _ in range(size)]
        text = "".join(" ".join(line) + "\n" for line in lines)
        expected = [by_words[1](by_words[0](line)) for line in lines]
        result = matched(index, matchers, text, add)
        if not add:
            expected = [[term if term in "abcde" or "_" in term else "?" for term in line] for line in expected]
        assert result == expected


def test_terms_do_not_cross_lines(tmp_path):
    (tmp_path / "a.txt").write_text("a snow\nleopard\n...\nsnow leopard\n")
    index = WordIndex(["a"])
    matcher = IdMatcher(index, ["snow_leopard"])
    assert matcher.ids.tolist() == [1] and index.words() == ["a", "snow_leopard", "snow", "leopard"]
    [(num_words, ids)] = read_ids(Corpus(str(tmp_path / "a.txt")), index, [matcher])
    assert num_words == 5 and ids.tolist() == [0, 2, -1, 3, -1, -1, 1, -1]


def test_no_terms():
    index = WordIndex(["snow", "leopard"])
    assert IdMatcher(index, ["snow"])(index.ids(b"snow leopard\n")).tolist() == [0, 1, -1]
