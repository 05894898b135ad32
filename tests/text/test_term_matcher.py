import random

import pytest

from devise_tf.text import tokenize
from devise_tf.text.term_matcher import TermMatcher


def naive_match(words, terms):
    """At each word tries every length, the longest first."""
    result, i = [], 0
    while i < len(words):
        for n in range(len(words) - i, 0, -1):
            if n == 1 or "_".join(words[i : i + n]) in terms:
                result.append("_".join(words[i : i + n]))
                i += n
                break
    return result


@pytest.mark.parametrize(
    ("terms", "text", "expected"),
    [
        (["snow leopard", "leopard cub"], "a snow leopard cub", ["a", "snow_leopard", "cub"]),
        (["snow leopard", "snow leopard cub"], "snow leopard cub", ["snow_leopard_cub"]),
        (["snow leopard", "snow leopard cub"], "snow leopard cat", ["snow_leopard", "cat"]),
        (["new york city hall"], "new york city", ["new", "york", "city"]),
        (["new york city hall", "york city"], "new york city", ["new", "york_city"]),
        (["a a"], "a a a a a", ["a_a", "a_a", "a"]),
        (["Snow-Leopard", "cat"], "snow leopard", ["snow_leopard"]),
        ([], "snow leopard", ["snow", "leopard"]),
        (["snow leopard"], "snow", ["snow"]),
        (["snow leopard"], "", []),
    ],
)
def test_longest_match_from_left_to_right(terms, text, expected):
    assert TermMatcher(terms)(tokenize(text)) == expected


def test_equals_naive_matching():
    rng = random.Random(0)
    terms = {"_".join(rng.choices("abcd", k=rng.randint(2, 5))) for _ in range(30)}
    matcher = TermMatcher(terms)
    for _ in range(2000):
        words = rng.choices("abcde", k=rng.randint(0, 12))
        assert matcher(list(words)) == naive_match(words, terms)


def test_words_are_not_changed():
    words = ["snow", "leopard"]
    TermMatcher(["snow leopard"])(words)
    assert words == ["snow", "leopard"]


def test_one_string_is_refused():
    with pytest.raises(ValueError, match="Received: terms='snow leopard'"):
        TermMatcher("snow leopard")
