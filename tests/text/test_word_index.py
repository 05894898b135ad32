import random

import pytest

from devise_tf.text import get_tokenizer
from devise_tf.text.word_index import END, UNKNOWN, WordIndex
from tests.text.test_tokenizer import NASTY

WORDS = ["a", "eightttt", "nine_____".replace("_", "n"), "s" * 16, "s" * 17, "s" * 18, "t" * 5000, "éé", "豹" * 6, "Ω"]


def numbered(text, numbers, tokenizer):
    """The numbers of a text's words, line by line, with a tokenizer and a dictionary."""
    ids = []
    for line in text.split("\n")[:-1]:
        ids += [numbers.setdefault(word, len(numbers)) for word in tokenizer.tokenize(line)] + [END]
    return ids


def random_texts(letters, count, seed=0):
    rng = random.Random(seed)
    for _ in range(count):
        yield "".join(rng.choices(letters, k=rng.randint(0, 60))) + "\n"


@pytest.mark.parametrize("rule", ["words", "unnormalized_words"])
@pytest.mark.parametrize("ascii_share", [0, 1, 20])
def test_equals_a_tokenizer_and_a_dictionary(ascii_share, rule):
    """Few characters beyond ASCII are dealt with run by run, and many at once."""
    letters = "".join(NASTY) + "".join(WORDS) + ascii_share * "Ab c-d\n" * 100
    tokenizer = get_tokenizer(rule)
    index, numbers = WordIndex(tokenizer=tokenizer), {}
    for text in random_texts(letters, 3000):
        assert index.ids(text.encode(), add=True).tolist() == numbered(text, numbers, tokenizer)
    text = "\n".join(random_texts(letters, 500, seed=1))
    assert index.ids(text.encode(), add=True).tolist() == numbered(text, numbers, tokenizer)
    assert index.words() == list(numbers) and index.size == len(numbers)


def test_words_of_every_length():
    words = ["x" * n for n in range(1, 60)] + WORDS[1:]
    index = WordIndex(words)
    assert index.ids((" ".join(reversed(words)).lower() + "\n").encode()).tolist()[::-1][1:-1] == list(
        range(len(words) - 1)
    )
    assert index.words() == words


def test_unknown_words_and_empty_lines():
    index = WordIndex(["snow", "snow_leopard"])
    assert index.ids(b"\n snow?\n\nleopard snow_leopard\n").tolist() == [
        END, 0, END, END, UNKNOWN, 0, UNKNOWN, END,
    ]  # fmt: skip
    assert index.ids(b"\n").tolist() == [END]
    assert index.size == 2


def test_bytes_that_are_not_utf8_separate_words():
    index = WordIndex(["caf", "noir"])
    assert index.ids(b"caf\xe9 noir\xff\xfe\ncaf\xc3\nnoir\xed\xa0\x80caf\n").tolist() == [0, 1, -1, 0, -1, 1, 0, -1]


def test_sigma_looks_at_its_neighbors():
    text = "a plain line of words, long enough that the rest is few bytes of it\n" * 10 + "ΣΊΣΥΦΟΣ ΑΣ'Α Σ ΑΣ.\n"
    tokenizer = get_tokenizer("unnormalized_words")
    index = WordIndex(tokenizer.tokenize("σίσυφος ασ α σ ας"), tokenizer)
    assert index.ids(text.encode()).tolist()[-6:] == [0, 1, 2, 3, 4, END]


def test_keep():
    index = WordIndex(["a", "bb"])
    index.ids(b"c dd\n", add=True)
    index.ids(b"e ff\n", add=True)
    index.keep([True, False, False, True, False, True])
    assert index.words() == ["a", "dd", "ff"]
    assert index.ids(b"a bb c dd e ff\n", add=True).tolist() == [0, 3, 4, 1, 5, 2, END]
    assert index.words() == ["a", "dd", "ff", "bb", "c", "e"]
