import importlib.util
import logging

import numpy as np
import pytest
from scipy import stats

from devise_tf.text import word_benchmarks
from devise_tf.text.term_vectors import TermVectors
from devise_tf.text.word_benchmarks import (
    benchmark_folder,
    benchmark_table,
    evaluate_vectors,
    word_analogies,
    word_similarity,
)

# As in published vectors: several spellings of a word, and words with many variants.
WORDS = ["king", "Queen", "man", "woman", "queen", "KING", "paris", "france", "rome", "italy", "The", "the", "x", "Man"]
QUESTIONS = """: family
king queen man woman
man woman King QUEEN
man woman king princess
queen king woman man
: capitals
Paris France Rome Italy
rome italy paris france
: gram1-plural
king the x man
nosuch king x man
"""


def small_vectors(seed, terms=WORDS, dimension=4):
    return TermVectors(terms, np.random.default_rng(seed).normal(size=(len(terms), dimension)))


def gensim_vectors(vectors):
    from gensim.models import KeyedVectors

    theirs = KeyedVectors(vectors.vectors.shape[1])
    theirs.add_vectors(vectors.terms, vectors.vectors)
    return theirs


@pytest.fixture
def questions(tmp_path):
    (tmp_path / "questions.txt").write_text(QUESTIONS)
    return tmp_path / "questions.txt"


def analogies_by_formula(vectors, restrict):
    """A loop over questions and terms: which are covered, and which of these are answered rightly."""
    terms = vectors.terms[:restrict]
    unit = vectors.vectors / np.linalg.norm(vectors.vectors, axis=1, keepdims=True)
    results = {}
    for line in QUESTIONS.splitlines():
        if line.startswith(":"):
            result = results[line[2:]] = []
            continue
        words = line.upper().split()
        rows = [next((i for i, term in enumerate(terms) if term.upper() == word), None) for word in words]
        if None in rows:
            result.append(None)
            continue
        target = unit[rows[1]] - unit[rows[0]] + unit[rows[2]]
        scores = {i: unit[i] @ target for i, term in enumerate(terms) if term.upper() not in words[:3]}
        result.append(terms[max(scores, key=scores.get)].upper() == words[3])
    return results


@pytest.mark.parametrize("blocks", [(8192, 64), (3, 2)])
@pytest.mark.parametrize("restrict", [None, 12, 10])
def test_analogies_from_the_formula(questions, monkeypatch, blocks, restrict):
    monkeypatch.setattr(word_benchmarks, "_BLOCK_TERMS", blocks[0])
    monkeypatch.setattr(word_benchmarks, "_BLOCK_QUESTIONS", blocks[1])
    right = 0
    for seed in range(30):
        vectors = small_vectors(seed)
        expected = analogies_by_formula(vectors, restrict)
        result = word_analogies(vectors, questions, restrict)
        for name, answers in expected.items():
            section = result["sections"][name]
            assert section["questions"] == len(answers)
            assert section["covered"] == sum(answer is not None for answer in answers)
            assert section["correct"] == sum(answer is True for answer in answers)
        right += result["total"]["correct"]
        for kind, names in (("semantic", ["family", "capitals"]), ("syntactic", ["gram1-plural"])):
            for key in ("correct", "covered", "questions"):
                assert result[kind][key] == sum(result["sections"][name][key] for name in names)
    assert right > 10  # The comparison is not one of zeros.


@pytest.mark.parametrize("restrict", [300_000, 12])
def test_analogies_are_gensims(questions, restrict):
    logging.getLogger("gensim").setLevel(logging.ERROR)
    for seed in range(10):
        vectors = small_vectors(100 + seed)
        accuracy, sections = gensim_vectors(vectors).evaluate_word_analogies(str(questions), restrict_vocab=restrict)
        result = word_analogies(vectors, questions, restrict)
        assert result["total"]["accuracy"] == pytest.approx(accuracy)
        for section in sections[:-1]:
            ours = result["sections"][section["section"]]
            assert ours["correct"] == len(section["correct"])
            assert ours["covered"] == len(section["correct"]) + len(section["incorrect"])


@pytest.mark.parametrize("name", ["wordsim353.tsv", "simlex999.txt"])
@pytest.mark.parametrize("restrict", [300_000, 700])
def test_similarities_are_gensims(name, restrict):
    path = f"{benchmark_folder()}/{name}"
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
        words = [word for line in lines for word in line.split("\t")[:2]]
    terms = list(dict.fromkeys(words))[::-1][:800]
    vectors = small_vectors(3, [t if i % 2 else t.upper() for i, t in enumerate(terms)], 20)
    pearson, spearman, missing = gensim_vectors(vectors).evaluate_word_pairs(path, restrict_vocab=restrict)
    result = word_similarity(vectors, path, restrict)
    assert result["questions"] == len(lines)
    assert result["spearman"] == pytest.approx(float(spearman.statistic), abs=1e-5)
    assert result["pearson"] == pytest.approx(float(pearson.statistic), abs=1e-5)
    assert 100 * (1 - result["covered"] / result["questions"]) == pytest.approx(missing)


def test_similarity_from_the_formula(tmp_path):
    vectors = small_vectors(0)
    pairs = [("king", "queen", 9), ("man", "Paris", 1.5), ("woman", "rome", 2), ("x", "the", 2), ("x", "no", 5)]
    (tmp_path / "pairs").write_text("# comment\n" + "".join(f"{a}\t{b}\t{s}\n" for a, b, s in pairs) + "\n")
    unit = {t.lower(): v / np.linalg.norm(v) for t, v in reversed(list(zip(WORDS, vectors.vectors, strict=True)))}
    cosines = [unit[a.lower()] @ unit[b.lower()] for a, b, _ in pairs[:4]]
    ranks = [stats.rankdata(values) for values in ([9, 1.5, 2, 2], cosines)]
    result = word_similarity(vectors, tmp_path / "pairs")
    assert result["spearman"] == pytest.approx(np.corrcoef(ranks)[0, 1])
    assert (result["covered"], result["questions"]) == (4, 5)


def test_uncovered_benchmark_has_no_score(tmp_path, questions):
    vectors = TermVectors(["a", "b"], np.eye(2))
    (tmp_path / "pairs").write_text("king\tqueen\t1\nman\twoman\t2\n")
    nothing = {"spearman": None, "pearson": None, "covered": 0, "questions": 2}
    assert word_similarity(vectors, tmp_path / "pairs") == nothing
    total = word_analogies(vectors, questions)["total"]
    assert total == {"accuracy": None, "correct": 0, "covered": 0, "questions": 8}


def test_all_three_and_their_table(tmp_path, questions):
    questions.rename(tmp_path / "questions-words.txt")
    for name in ("wordsim353.tsv", "simlex999.txt"):
        (tmp_path / name).write_text("king\tman\t3\nx\tthe\t2\nrome\tno\t1\n")
    calls = []
    results = evaluate_vectors(small_vectors(0), tmp_path, progress=lambda *call: calls.append(call))
    assert set(results) == {"wordsim353", "simlex999", "analogies"} and calls == [(14, 14)]
    lines = benchmark_table(results).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split("|")[4:6] == ["       2 ", "         3 "]
    assert [line.split("|")[1].strip() for line in lines[4:]] == [
        "analogies, semantic", "analogies, syntactic", "analogies, total", "family", "capitals", "gram1-plural",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["a b c d\n", ": s\na b c\n", ": s\na b c d e\n"])
def test_bad_analogies(tmp_path, text):
    (tmp_path / "q").write_text(text)
    with pytest.raises(ValueError, match=r"q, line \d: expected `a b c d`"):
        word_analogies(small_vectors(0), tmp_path / "q")


@pytest.mark.parametrize("data", [b"a\tb\n", b"a\tb\tx\n", b"a b 1\n"])
def test_bad_pairs(tmp_path, data):
    (tmp_path / "p").write_bytes(data)
    with pytest.raises(ValueError, match="p, line 1: expected `word<TAB>word<TAB>number`"):
        word_similarity(small_vectors(0), tmp_path / "p")
    (tmp_path / "p").write_bytes(b"\xe9\tb\t1\n")
    with pytest.raises(ValueError, match="must be UTF-8"):
        word_similarity(small_vectors(0), tmp_path / "p")


def test_folder_without_a_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "simlex999.txt").touch()
    with pytest.raises(FileNotFoundError, match="lacks wordsim353.tsv, questions-words.txt. Received"):
        benchmark_folder(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install gensim.*--benchmarks=DIR"):
        benchmark_folder()
