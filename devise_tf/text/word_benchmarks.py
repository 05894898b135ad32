"""Benchmarks of word vectors: WordSim-353, SimLex-999 and the Google analogies."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from scipy import stats

from devise_tf.text.term_vectors import TermVectors

SIMILARITIES = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}
ANALOGIES = "questions-words.txt"
_BLOCK_TERMS = 8192
_BLOCK_QUESTIONS = 64


def benchmark_folder(folder: str | os.PathLike = "") -> str:
    """The folder that holds the three benchmarks' files.

    Args:
        folder: Path. The folder; empty for the files that come with gensim, which is not imported for it.

    Raises:
        FileNotFoundError: A file is missing, or gensim is not installed.
    """
    folder = os.path.expanduser(os.fspath(folder))
    if not folder:
        gensim = importlib.util.find_spec("gensim")
        if gensim is None:
            raise FileNotFoundError(
                "The benchmarks' files come with gensim (`pip install gensim`), which is not installed: install it, or "
                f"name the folder of {', '.join(SIMILARITIES.values())} and {ANALOGIES} with --benchmarks=DIR. "
                "Received: no folder"
            )
        [package, *_] = gensim.submodule_search_locations or [""]
        folder = os.path.join(package, "test", "test_data")
    missing = [name for name in (*SIMILARITIES.values(), ANALOGIES) if not os.path.isfile(os.path.join(folder, name))]
    if missing:
        raise FileNotFoundError(
            f"The folder of benchmarks (--benchmarks=DIR) lacks {', '.join(missing)}. Received: {folder!r}"
        )
    return folder


def evaluate_vectors(
    vectors: TermVectors,
    folder: str | os.PathLike = "",
    restrict: int | None = 300_000,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, dict]:
    """Evaluates term vectors on the three benchmarks.

    Args:
        vectors: `TermVectors`. What is measured.
        folder: Path. See `benchmark_folder`.
        restrict: Integer or None. Only the first so many terms count, as questions' words and as answers; `None` for
            all.
        progress: Function. See `word_analogies`.

    Returns:
        `{"wordsim353": …, "simlex999": …}` as `word_similarity` gives them, and `"analogies"` as `word_analogies`.
    """
    folder = benchmark_folder(folder)
    results = {
        name: word_similarity(vectors, os.path.join(folder, file), restrict) for name, file in SIMILARITIES.items()
    }
    return results | {"analogies": word_analogies(vectors, os.path.join(folder, ANALOGIES), restrict, progress)}


def word_similarity(
    vectors: TermVectors, path: str | os.PathLike, restrict: int | None = 300_000
) -> dict[str, float | int | None]:
    """Spearman's rank correlation of cosines with people's judgments of similarity.

    Upper and lower case are one; pairs with a word that is not among the terms are skipped and counted, as gensim
    does it.

    Args:
        vectors: `TermVectors`. What is measured.
        path: Path. File of lines `word<TAB>word<TAB>judgment`; lines that start with `#` are comments.
        restrict: Integer or None. Only the first so many terms count; `None` for all.

    Returns:
        `spearman` and `pearson`, each None where it is not defined (fewer than two pairs are covered, or all are
        equally similar); `covered` and `questions`, the numbers of pairs.

    Raises:
        ValueError: A line is not as above.
    """
    _, index = _fold(vectors, restrict)
    judgments, cosines, questions = [], [], 0
    for number, line in _lines(path):
        if line.startswith("#"):
            continue
        try:
            first, second, score = (field.strip() for field in line.split("\t"))
            judgment = float(score)
        except ValueError:
            raise ValueError(
                f"{path}, line {number}: expected `word<TAB>word<TAB>number`. Received: {line!r}"
            ) from None
        questions += 1
        rows = index.get(first.upper()), index.get(second.upper())
        if None not in rows:
            judgments.append(judgment)
            product = vectors.vectors[rows[0]] @ vectors.vectors[rows[1]]
            cosines.append(float(product / vectors.norms[rows[0]] / vectors.norms[rows[1]]))
    defined = len(set(judgments)) > 1 and len(set(cosines)) > 1
    return {
        "spearman": float(stats.spearmanr(judgments, cosines).statistic) if defined else None,
        "pearson": float(stats.pearsonr(judgments, cosines).statistic) if defined else None,
        "covered": len(judgments),
        "questions": questions,
    }


def word_analogies(
    vectors: TermVectors,
    path: str | os.PathLike,
    restrict: int | None = 300_000,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, dict]:
    """Accuracy on analogy questions: the answer to "`a` is to `b` as `c` is to what" must be `d`.

    The answer is the term with the largest cosine to `b - a + c` (3CosAdd), each of unit norm, the three left out.
    Upper and lower case are one; questions with a word that is not among the terms are skipped and counted, as gensim
    does it. Sections whose name starts with "gram" are syntactic, the others semantic.

    Args:
        vectors: `TermVectors`. What is measured.
        path: Path. File of lines `a b c d` in sections that a line `: name` opens.
        restrict: Integer or None. Only the first so many terms count, as words of questions and as answers; `None` for
            all.
        progress: Function, optional. Called with `(terms_done, terms_in_all)` now and then.

    Returns:
        `semantic`, `syntactic` and `total`, each `{"accuracy": fraction or None, "correct": …, "covered": …,
        "questions": …}`, and `sections` with the same for each section.

    Raises:
        ValueError: A line is not as above.
    """
    words, index = _fold(vectors, restrict)
    sections, names = [], []
    questions: list[list[int]] = []
    totals: dict[str, int] = {}
    for number, line in _lines(path):
        if line.startswith(":"):
            names.append(line[1:].strip())
            totals.setdefault(names[-1], 0)
            continue
        fields = line.upper().split()
        if len(fields) != 4 or not names:
            raise ValueError(f"{path}, line {number}: expected `a b c d` below a line `: name`. Received: {line!r}")
        totals[names[-1]] += 1
        if all(field in index for field in fields):
            questions.append([index[field] for field in fields])
            sections.append(names[-1])
    correct = _answers(vectors, np.array(questions, np.int64).reshape(-1, 4), words, progress)
    results = {name: _accuracy(correct, [section == name for section in sections], totals[name]) for name in totals}
    kinds = {
        "semantic": {name for name in totals if not name.startswith("gram")},
        "syntactic": {name for name in totals if name.startswith("gram")},
        "total": set(totals),
    }
    return {
        kind: _accuracy(correct, [section in members for section in sections], sum(totals[name] for name in members))
        for kind, members in kinds.items()
    } | {"sections": results}


def benchmark_table(results: Mapping[str, Mapping]) -> str:
    """The results of `evaluate_vectors` as a Markdown table; accuracies and coverage in per cent."""

    def number(value: float | None, scale: float, digits: int) -> str:
        return "-" if value is None else f"{scale * value:.{digits}f}"

    rows: list[tuple] = [("benchmark", "measure", "score", "covered", "questions")]
    for name in SIMILARITIES:
        result = results[name]
        rows.append((name, "Spearman", number(result["spearman"], 1, 3), result["covered"], result["questions"]))
    analogies = results["analogies"]
    for name, result in ({k: v for k, v in analogies.items() if k != "sections"} | analogies["sections"]).items():
        label = f"analogies, {name}" if name in analogies else f"  {name}"
        rows.append((label, "accuracy, %", number(result["accuracy"], 100, 1), result["covered"], result["questions"]))
    widths = [max(len(str(row[i])) for row in rows) for i in range(5)]
    rows.insert(1, tuple("-" * width if i < 2 else "-" * (width - 1) + ":" for i, width in enumerate(widths)))
    aligned = (
        [str(row[i]).ljust(width) if i < 2 else str(row[i]).rjust(width) for i, width in enumerate(widths)]
        for row in rows
    )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in aligned)


def _fold(vectors: TermVectors, restrict: int | None) -> tuple[np.ndarray, dict[str, int]]:
    """Gives each term the row of the first that differs from it in case only, int64; and these rows by upper case."""
    if restrict is not None and restrict < 1:
        raise ValueError(f"`restrict` must be at least 1. Received: {restrict=}")
    index: dict[str, int] = {}
    return np.array([index.setdefault(t.upper(), row) for row, t in enumerate(vectors.terms[:restrict])]), index


def _answers(
    vectors: TermVectors, questions: np.ndarray, words: np.ndarray, progress: Callable[[int, int], None] | None
) -> np.ndarray:
    """Whether each question (rows of a, b, c, d) is answered rightly, bool; `words` as `_fold` gives them."""
    if not len(questions):
        return np.zeros(0, bool)
    # There are twenty times as many questions as words in them: the cosines of the words with all terms are one
    # matrix product, and those of a question follow by adding, for cos(x, b - a + c) is linear but for the norm of
    # b - a + c, which does not change the order of the answers.
    rows, positions = np.unique(questions[:, :3], return_inverse=True)
    positions = positions.reshape(-1, 3)
    units = vectors.vectors[rows] / vectors.norms[rows, None]
    best = np.full(len(questions), -np.inf, np.float32)
    answers = np.zeros(len(questions), np.int64)
    differences, scores = (np.empty((_BLOCK_QUESTIONS, _BLOCK_TERMS), np.float32) for _ in range(2))
    for start in range(0, len(words), _BLOCK_TERMS):
        block = words[start : start + _BLOCK_TERMS]
        stop = start + len(block)
        cosines = units @ (vectors.vectors[start:stop] / vectors.norms[start:stop, None]).T
        # Where in the block the words of questions, in any case, lie: for each, columns to leave out.
        columns = np.flatnonzero(np.isin(block, rows))
        words_of_columns = np.searchsorted(rows, block[columns])
        order = np.argsort(words_of_columns, kind="stable")
        columns, bounds = columns[order], np.searchsorted(words_of_columns[order], np.arange(len(rows) + 1))
        for first in range(0, len(questions), _BLOCK_QUESTIONS):
            part = positions[first : first + _BLOCK_QUESTIONS]
            total, other = scores[: len(part), : len(block)], differences[: len(part), : len(block)]
            np.take(cosines, part[:, 1], axis=0, out=total, mode="clip")
            total -= np.take(cosines, part[:, 0], axis=0, out=other, mode="clip")
            total += np.take(cosines, part[:, 2], axis=0, out=other, mode="clip")
            for i, word in zip(*np.nonzero(bounds[part] < bounds[part + 1]), strict=True):
                total[i, columns[bounds[part[i, word]] : bounds[part[i, word] + 1]]] = -np.inf
            chosen = total.argmax(axis=1)
            values = total[np.arange(len(part)), chosen]
            better = np.flatnonzero(values > best[first : first + len(part)])
            best[first + better] = values[better]
            answers[first + better] = block[chosen[better]]
        if progress is not None:
            progress(stop, len(words))
    return (answers == questions[:, 3]) & (best > -np.inf)


def _accuracy(correct: np.ndarray, chosen: list[bool], total: int) -> dict[str, float | int | None]:
    covered = sum(chosen)
    right = int(np.count_nonzero(correct & np.array(chosen, bool)))
    return {"accuracy": right / covered if covered else None, "correct": right, "covered": covered, "questions": total}


def _lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text. Received: {error}") from error
