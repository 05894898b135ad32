"""Every trainer must see the same tokens."""

import numpy as np
import pytest

from devise_tf.text import tokenize
from tests.benchmarks import corpora

LINES = [f"The cat {i} saw, the {'dog' if i % 3 else 'fox'}!" for i in range(250)]


@pytest.fixture
def pattern(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join([*LINES, "word " * 2500]) + "\n")
    return str(path)


def decode(ids, terms):
    text = " ".join("\n" if i < 0 else terms[i] for i in ids)
    return [line.split() for line in text.split("\n") if line.strip()]


def test_text_and_ids_are_the_same_tokens(pattern, tmp_path):
    prepared = corpora.prepare(pattern, str(tmp_path / "work"), min_count=2)
    vocabulary = prepared.vocabulary()
    with open(prepared.path("text.txt"), encoding="utf-8") as file:
        text = [line.split() for line in file]
    kept = [[word for word in tokenize(line) if word in vocabulary.index] for line in LINES]
    assert text[: len(LINES)] == kept
    assert [len(line) for line in text[len(LINES) :]] == [1000, 1000, 500]
    assert decode(prepared.ids(), vocabulary.terms) == text
    counted = np.bincount(prepared.ids()[prepared.ids() >= 0])
    np.testing.assert_array_equal(counted, vocabulary.counts)
    assert prepared.words == vocabulary.counts.sum() and prepared.sentences == len(text)
    assert prepared.held_out_words == 0


def test_every_hundredth_sentence_is_held_out(pattern, tmp_path):
    work = str(tmp_path / "work")
    whole = corpora.prepare(pattern, work, min_count=2)
    prepared = corpora.prepare(pattern, work, min_count=2, hold_out=True)
    everything = decode(whole.ids(), whole.vocabulary().terms)
    terms = prepared.vocabulary().terms
    held_out = decode(np.load(prepared.path("held_out.npy")), terms)
    assert held_out == [everything[99], everything[199]]
    assert decode(prepared.ids(), terms) == [line for i, line in enumerate(everything) if i not in (99, 199)]


def test_the_number_of_words_is_kept(pattern, tmp_path):
    prepared = corpora.prepare(pattern, str(tmp_path / "work"), words=101, min_count=1)
    assert prepared.words == 101 and prepared.ids()[-1] == -1
    assert corpora.prepare(pattern, str(tmp_path / "work"), words=101, min_count=1) == prepared


def test_lines_are_cut():
    ids = np.array([0, 1, 2, 3, 4, -1, 5, 6, -1, 7, 8, 9, -1, -1], np.int32)
    expected = [0, 1, -1, 2, 3, -1, 4, -1, 5, 6, -1, 7, 8, -1, 9, -1, -1]
    np.testing.assert_array_equal(corpora.cut_lines(ids, 2), expected)


def test_every_term_of_zipf_text_occurs(tmp_path):
    prepared = corpora.prepare_zipf(str(tmp_path), terms=500, words=3000, seed=1)
    counts = prepared.vocabulary().counts
    assert prepared.terms == 500 and prepared.words == 3000 == counts.sum() and counts.min() >= 1
    lengths = np.diff(np.flatnonzero(np.append(-1, prepared.ids()) < 0)) - 1
    assert lengths[:-1].min() >= 10 and lengths.max() <= 40
    # The law, about: the second term 2.7 / 3.7 times as often as the first.
    assert counts[1] / counts[0] == pytest.approx(2.7 / 3.7, abs=0.15)
    with pytest.raises(ValueError, match="Received: terms=500, words=600"):
        corpora.prepare_zipf(str(tmp_path), terms=500, words=600)


def test_tokenized_text_holds_every_word(pattern, tmp_path):
    path, words, lines = corpora.tokenized_text(pattern, str(tmp_path / "work"))
    with open(path, encoding="utf-8") as file:
        text = [line.split() for line in file]
    assert text[: len(LINES)] == [tokenize(line) for line in LINES]
    assert (words, lines) == (sum(map(len, text)), len(text)) == (6 * 250 + 2500, 253)
