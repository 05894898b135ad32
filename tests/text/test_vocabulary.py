import functools
import random
import re

import numpy as np
import pytest

from devise_tf.text import Corpus, Vocabulary

TEXT = """The snow leopard, a cat. The cat!
Snow; a leopard cub and a snow leopard cub
the the"""


@pytest.fixture
def corpus(tmp_path):
    def make(text=TEXT):
        (tmp_path / "corpus.txt").write_text(text, encoding="utf-8")
        return Corpus(str(tmp_path / "corpus.txt"))

    return make


def naive_counts(text, label_terms):
    """Counts by a regular expression: an alternative for each term, the longest first."""
    text = re.sub(
        r"[\W_]+", " ", text.casefold().replace("\n", " \N{FULL BLOCK} ").replace("\N{FULL BLOCK}", " 0xeol ")
    )
    multiword = sorted((term.replace("_", " ") for term in label_terms), key=lambda term: -len(term.split()))
    counts = {}
    for term in re.findall("|".join(rf"\b{term}\b" for term in multiword) + r"|\w+", text):
        counts[term.replace(" ", "_")] = counts.get(term.replace(" ", "_"), 0) + 1
    counts.pop("0xeol", None)
    return counts


def test_order_and_counts(corpus):
    vocabulary = Vocabulary.build(corpus(), min_count=1)
    assert dict(zip(vocabulary.terms, vocabulary.counts, strict=True)) == {
        "the": 4, "a": 3, "leopard": 3, "snow": 3, "cat": 2, "cub": 2, "and": 1,
    }  # fmt: skip
    assert vocabulary.terms == ["the", "a", "leopard", "snow", "cat", "cub", "and"]
    assert vocabulary.counts.dtype == np.int64
    assert [vocabulary.index[term] for term in vocabulary.terms] == list(range(len(vocabulary))) == list(range(7))


def test_min_count_and_max_size(corpus):
    assert Vocabulary.build(corpus(), min_count=3).terms == ["the", "a", "leopard", "snow"]
    assert Vocabulary.build(corpus(), min_count=1, max_size=2).terms == ["the", "a"]


def test_multiword_terms_are_not_counted_for_their_words(corpus):
    vocabulary = Vocabulary.build(corpus(), min_count=1, label_terms=["Snow leopard", "leopard cub", "tiger shark"])
    counts = dict(zip(vocabulary.terms, vocabulary.counts.tolist(), strict=True))
    assert counts == {"the": 4, "a": 3, "cat": 2, "snow_leopard": 2, "and": 1, "cub": 1, "leopard_cub": 1, "snow": 1}


def test_label_terms_stay_whatever_the_limits(corpus):
    terms = ["leopard cub", "cub", "and", "tiger"]
    vocabulary = Vocabulary.build(corpus(), min_count=100, label_terms=terms)
    assert vocabulary.terms == ["leopard_cub", "and"]
    assert vocabulary.counts.tolist() == [2, 1]
    assert Vocabulary.build(corpus(), min_count=1, max_size=2, label_terms=terms).terms == ["leopard_cub", "and"]
    assert Vocabulary.build(corpus(), min_count=1, max_size=3, label_terms=terms).terms == ["the", "leopard_cub", "and"]


def test_equals_naive_counts(corpus):
    rng = random.Random(0)
    label_terms = {"_".join(rng.choices("abcdé", k=rng.randint(2, 4))) for _ in range(40)}
    text = "\n".join(" ".join(rng.choices("abcdeÉF", k=rng.randint(1, 30))) for _ in range(500))
    vocabulary = Vocabulary.build(corpus(text), min_count=1, label_terms=label_terms)
    expected = sorted(naive_counts(text, label_terms).items(), key=lambda item: (-item[1], item[0]))
    assert list(zip(vocabulary.terms, vocabulary.counts.tolist(), strict=True)) == expected


@pytest.mark.parametrize("block_bytes", [64, 300])
def test_pruning_forgets_rare_terms_only(corpus, monkeypatch, block_bytes):
    monkeypatch.setattr("devise_tf.text.corpus._MAX_LINE_BYTES", block_bytes)
    text = "a rare label\n" + "\n".join(f"w{i} often" for i in range(2000))
    vocabulary = Vocabulary.build(corpus(text), min_count=1, label_terms=["rare label"], max_entries=100)
    counts = dict(zip(vocabulary.terms, vocabulary.counts.tolist(), strict=True))
    assert counts["often"] == 2000 and counts["rare_label"] == 1
    assert len(vocabulary) <= 101 and "w1999" in counts and "w1" not in counts


def test_errors(corpus):
    with pytest.raises(ValueError, match="most frequent is 'the' with 4.*Received: min_count=5"):
        Vocabulary.build(corpus())
    with pytest.raises(ValueError, match="1 different terms.*most frequent is 'word' with 3"):
        Vocabulary.build(corpus("word word word"), min_count=1)
    with pytest.raises(ValueError, match="no letter and no number. Received"):
        Vocabulary.build(corpus("... !\n?"))
    with pytest.raises(ValueError, match="Received: min_count=0"):
        Vocabulary.build(corpus(), min_count=0)
    with pytest.raises(ValueError, match="max_size=1"):
        Vocabulary.build(corpus(), max_size=1)
    with pytest.raises(ValueError, match="Received: text='...'"):
        Vocabulary.build(corpus(), label_terms=["..."])


@pytest.mark.parametrize(
    ("terms", "counts", "message"),
    [
        (["a"], [1], "at least two"),
        (["a", "b"], [1], "one count a term"),
        (["a", "a", "b"], [3, 2, 1], "'a' 2 times"),
        (["a", "b c"], [2, 1], "white space. Received: 'b c'"),
        (["a", ""], [2, 1], "white space. Received: ''"),
        (["a", "b"], [1, 2], "not increase"),
        (["a", "b"], [1, 0], "at least 1"),
    ],
)
def test_constructor_errors(terms, counts, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(terms, counts)


def test_equals_naive_counts_of_ordinary_text(corpus):
    """Real spellings, in many blocks."""
    rng = random.Random(1)
    words = ["The", "snow", "leopard", "LEOPARD", "cub", "naïve", "Σίσυφος", "ΑΣ", "豹", "x" * 30, "3", "of"]
    label_terms = {"snow_leopard", "the_snow_leopard_cub", "leopard_cub", "of_the_3", "naïve_豹"}
    text = "\n".join(" ".join(rng.choices(words, k=rng.randint(0, 40))) for _ in range(500))
    vocabulary = Vocabulary.build(corpus(text), min_count=3, label_terms=label_terms)
    expected = {term: n for term, n in naive_counts(text, label_terms).items() if n >= 3 or term in label_terms}
    assert dict(zip(vocabulary.terms, vocabulary.counts.tolist(), strict=True)) == expected


def test_phrases_are_joined_where_no_label_term_is(corpus):
    text = "a snow leopard cub and a snow day\nnew york city\nnew york city hall and new york\nred panda"
    build = functools.partial(Vocabulary.build, corpus(text), label_terms=["leopard cub", "city hall"])
    phrases = ["snow leopard", "a_snow", "new_york", "new_york_city", "leopard_cub", "red_fox", "red_panda"]
    vocabulary = build(min_count=2, phrases=phrases)
    # Like label terms, phrases need one occurrence only, and "city hall" is not taken apart for "new york city".
    assert dict(zip(vocabulary.terms, vocabulary.counts.tolist(), strict=True)) == {
        "a_snow": 2, "and": 2, "new_york": 2, "city_hall": 1, "leopard_cub": 1, "new_york_city": 1, "red_panda": 1,
    }  # fmt: skip
    assert vocabulary.phrases == {"a_snow", "new_york", "new_york_city", "red_panda"}
    assert build(min_count=1).phrases == frozenset()


def test_save_and_load_phrases(tmp_path):
    path = tmp_path / "vocabulary.txt"
    vocabulary = Vocabulary(["the", "new_york", "snow_leopard"], [3, 2, 1], phrases=["new_york"])
    vocabulary.save(path)
    assert path.read_text() == "the\t3\nnew_york\t2\tphrase\nsnow_leopard\t1\n"
    loaded = Vocabulary.load(path)
    assert (loaded.terms, loaded.counts.tolist(), loaded.phrases) == (vocabulary.terms, [3, 2, 1], {"new_york"})
    assert loaded.fingerprint() != Vocabulary(["the", "new_york", "snow_leopard"], [3, 2, 1]).fingerprint()
    for phrase in ("the", "new_jersey"):
        with pytest.raises(ValueError, match=f"`phrases` must be multi-word terms.*Received: '{phrase}'"):
            Vocabulary(vocabulary.terms, [3, 2, 1], phrases=[phrase])


def test_save_and_load(tmp_path, corpus):
    vocabulary = Vocabulary.build(corpus(TEXT + "\nété 豹"), min_count=1, label_terms=["snow leopard"])
    path = tmp_path / "vocabulary.txt"
    vocabulary.save(path)
    assert path.read_text(encoding="utf-8").splitlines()[:2] == ["the\t4", "a\t3"]
    loaded = Vocabulary.load(path)
    assert (loaded.terms, loaded.counts.tolist()) == (vocabulary.terms, vocabulary.counts.tolist())
    assert loaded.fingerprint() == vocabulary.fingerprint() != Vocabulary(["a", "b"], [2, 1]).fingerprint()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corpus.txt", "vocabulary.txt"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"the\t4\ncat", "Line 2 of .*bad.txt"),
        (b"the\t4\ncat\tx\n", "Line 2 of .*Received: b'cat"),
        (b"the\t4\ncaf\xe9\t1\n", "Line 2 of .*UTF-8"),
        (b"the\t4\n\ncat\t1\n", "Line 2 of"),
        (b"the\t4\ncat\t5\n", "bad.txt' is not a vocabulary.*not increase"),
        (b"", "bad.txt' is not a vocabulary.*at least two"),
        (b"the\t99999999999999999999\ncat\t5\n", "bad.txt' is not a vocabulary"),
    ],
)
def test_load_errors(tmp_path, data, message):
    (tmp_path / "bad.txt").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        Vocabulary.load(tmp_path / "bad.txt")
