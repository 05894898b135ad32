"""From one form of vector file to another, whole or in part."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from devise_tf.files import atomic_write
from devise_tf.text.npz_vectors import find_vectors, save_npz
from devise_tf.text.term_vectors import term_rows
from devise_tf.text.vector_file import load_terms, load_vectors, save_vectors, write_rows
from devise_tf.text.vector_rows import check_form, open_rows, parse_values

_SUFFIXES = {
    ".bin": "word2vec_binary",
    ".txt": "word2vec_text",
    ".vec": "word2vec_text",
    ".glove": "glove",
    ".npz": "npz",
}


def form_of(path: str | os.PathLike, form: str | None = None) -> str:
    """The form that a vector file is to be written in: the one that is named, else that of the path's suffix.

    Raises:
        ValueError: It is not known, or the path's suffix says that the file is compressed, which none is.
    """
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if form is not None:
        check_form(form)
    form = form or _SUFFIXES.get(suffix)
    if form is None or suffix in (".gz", ".xz"):
        raise ValueError(
            f"The file to write must end in {', '.join(_SUFFIXES)}, or its form be named (--format); it is not "
            f"compressed, so not in .gz or .xz. Received: path={os.fspath(path)!r}, {form=}"
        )
    return form


def needed_terms(names: Iterable[Sequence[str]], known: Sequence[str], limit: int | None = None) -> list[str]:
    """The terms whose vectors labels need.

    Args:
        names: Lists of strings. For each label its terms, normalized, the first one first, as
            `LabelSet.normalized_terms` gives them.
        known: Strings. The terms that have vectors, the most frequent first.
        limit: Integer, optional. The number of terms to give: the last ones are left out, or the most frequent of the
            other terms added.

    Returns:
        First, label by label, what its vector is made of (see `term_rows`): one whole term, or words. Behind them,
        label by label, the same for each of its other terms. Label vectors made of these terms are those made of all.
    """
    index = {term: row for row, term in enumerate(known)}
    spellings = [list(terms) for terms in names]
    rows = [row for terms in spellings for row in term_rows(terms, index)]
    rows += [row for terms in spellings for term in terms for row in term_rows([term], index)]
    if limit is not None:
        if limit < 1:
            raise ValueError(f"`limit` must be at least 1. Received: {limit=}")
        rows += range(min(len(known), limit))
    return [known[row] for row in dict.fromkeys(rows)][:limit]


def convert_vectors(
    source: str | os.PathLike,
    target: str | os.PathLike,
    form: str | None = None,
    terms: Sequence[str] | None = None,
    counts: Mapping[str, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, int]:
    """Writes the vectors of a file in another form, atomically.

    Terms that occur again, or that are nothing but white space of some alphabet, are left out with a warning. Where
    all terms are converted to any form but `"npz"` the vectors stream through: only the terms are held in memory.

    Args:
        source: Path. A file that `load_vectors` reads.
        target: Path. The file to write.
        form: String. Its form, one of those of `save_vectors`; `None` for that of its suffix.
        terms: Strings, optional. Only these, in this order.
        counts: Dict, optional. How often terms occur, which only the form `"npz"` keeps.
        progress: Function, optional. Called with `(bytes_read, bytes_in_all)` now and then.

    Returns:
        The number of terms written, and their dimension.

    Raises:
        ValueError: The source is not sound, lacks one of `terms`, or has no vectors.
    """
    form, source = form_of(target, form), find_vectors(source)
    if terms is None and form != "npz":
        return _stream(source, target, form, progress)
    loaded, vectors = load_vectors(source, terms=terms, progress=progress)
    if terms is None:
        order = [row for row, term in enumerate(loaded) if _is_sound(term)]
        _warn(source, len(loaded) - len(order))
        terms = [loaded[row] for row in order]
    else:
        index = {term: row for row, term in enumerate(loaded)}
        missing = [term for term in terms if term not in index]
        if missing:
            raise ValueError(f"{len(missing)} of {len(terms)} terms are not in {source!r}. Received: {missing[:10]}")
        order = [index[term] for term in terms]
    if not order:
        raise ValueError(f"There are no vectors to write. Received: source={source!r}")
    # All rows in their own order need no copy.
    vectors = vectors if order == list(range(len(vectors))) else vectors[order]
    if form == "npz":
        known = counts or {}
        complete = all(term in known for term in terms)
        save_npz(target, terms, vectors, np.array([known[term] for term in terms]) if complete else None)
    else:
        save_vectors(target, terms, vectors, form)
    return vectors.shape


def _stream(
    source: str, target: str | os.PathLike, form: str, progress: Callable[[int, int], None] | None
) -> tuple[int, int]:
    # A first pass, for the number of terms stands in the first line.
    known = load_terms(source, progress=progress)
    remaining = {term for term in known if _is_sound(term)}
    _warn(source, len(known) - len(remaining))
    count = len(remaining)
    if not count:
        raise ValueError(f"There are no vectors to write. Received: source={source!r}")
    with open_rows(source, progress=progress) as file, atomic_write(target) as handle:

        def rows() -> Iterator[tuple[str, np.ndarray]]:
            for position, term, values in file.rows:
                if term in remaining:
                    remaining.remove(term)
                    yield term, parse_values(position, term, values)

        write_rows(handle, form, count, file.dimension, rows())
        return count, file.dimension


def _is_sound(term: str) -> bool:
    return bool(term) and term.split() == [term] and not term.startswith("\ufeff")


def _warn(source: str, number: int) -> None:
    if number:
        warnings.warn(f"{number} terms of {source!r} that are or hold white space were ignored.", stacklevel=3)
