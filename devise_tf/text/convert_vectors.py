"""From one form of vector file to another, whole or in part."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from devise_tf.choices import MAX_BAD_ROWS, NPZ_FORMS
from devise_tf.files import atomic_write
from devise_tf.text.npz_vectors import save_npz
from devise_tf.text.term_index import TermIndex, index_rows
from devise_tf.text.tokenizer import WORDS, Tokenizer
from devise_tf.text.vector_file import collect_vectors, first_line, save_vectors, unique_rows, write_rows
from devise_tf.text.vector_rows import VectorRows, check_form, open_rows
from devise_tf.text.vector_source import find_vectors
from devise_tf.text.vector_tokenizer import keep_tokenizer

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
    if form is None or suffix in (".gz", ".bz2", ".xz", ".zip"):
        raise ValueError(
            f"The file to write must end in {', '.join(_SUFFIXES)}, or its form be named (--format); it is not "
            f"compressed, so not in .gz, .bz2, .xz or .zip. Received: path={os.fspath(path)!r}, {form=}"
        )
    return form


def needed_terms(
    names: Iterable[Sequence[str]], known: Sequence[str], limit: int | None = None, tokenizer: Tokenizer = WORDS
) -> list[str]:
    """The terms whose vectors labels need.

    Args:
        names: Lists of strings. For each label its terms, the first one first.
        known: Strings. The terms that have vectors, the most frequent first.
        limit: Integer, optional. The number of terms to give: the last ones are left out, or the most frequent of the
            other terms added.
        tokenizer: Tokenizer. The rule by which terms become words.

    Returns:
        First, label by label, what its vector is made of (see `TermIndex`): one whole term, or parts. Behind them,
        label by label, the same for each of its other terms. Label vectors made of these terms are those made of all.
    """
    index = TermIndex(index_rows(known), tokenizer)
    labels = [list(terms) for terms in names]
    rows = [row for terms in labels for row in index.first(terms).rows]
    rows += [row for terms in labels for term in terms for row in index.find(term).rows]
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
    max_bad_rows: int = MAX_BAD_ROWS,
) -> tuple[int, int]:
    """Writes the vectors of a file in another form, atomically.

    Terms that occur again, and rows that cannot be read, are left out with a warning. Where all terms are converted to
    a form that is not one of `NPZ_FORMS` the vectors stream through: only the terms are held in memory. A temporary
    file, as large as the one to write, lies beside it meanwhile.

    Args:
        source: Path. A file that `load_vectors` reads.
        target: Path. The file to write.
        form: String. Its form, one of those of `save_vectors`; `None` for that of its suffix.
        terms: Strings, optional. Only these, in this order.
        counts: Dict, optional. How often terms occur, which only `NPZ_FORMS` keep.
        progress: Function, optional. Called with `(bytes_read, bytes_in_all)` now and then.
        max_bad_rows: Integer. As for `load_vectors`.

    Returns:
        The number of terms written, and their dimension.

    Raises:
        ValueError: The source is not sound, lacks one of `terms`, or has no vectors.
    """
    form, source = form_of(target, form), find_vectors(source)
    with open_rows(source, progress=progress, max_bad_rows=max_bad_rows) as file:
        if terms is None and form not in NPZ_FORMS:
            return _stream(file, source, target, form)
        loaded, vectors = collect_vectors(file, source, None if terms is None else set(terms))
    if terms is not None:
        order = _order(terms, loaded, file.bad.terms, source)
        # All rows in their own order need no copy.
        vectors = vectors if order == list(range(len(vectors))) else vectors[order]
        loaded = [loaded[row] for row in order]
    if not loaded:
        raise ValueError(f"There are no vectors to write. Received: source={source!r}")
    if form in NPZ_FORMS:
        known = counts or {}
        complete = all(term in known for term in loaded)
        kept = np.array([known[term] for term in loaded]) if complete else None
        save_npz(target, loaded, vectors, kept, int8=form == "npz_int8")
    else:
        save_vectors(target, loaded, vectors, form)
    keep_tokenizer(source, target)
    return vectors.shape


def _stream(file: VectorRows, source: str, target: str | os.PathLike, form: str) -> tuple[int, int]:
    dimension = file.form.dimension
    # The number of rows, which stands before them, is known behind the last one only.
    with tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(target))) as rows:
        count = write_rows(rows, form, unique_rows(file, source))
        if not count:
            raise ValueError("there are no vectors to write.")
        rows.seek(0)
        with atomic_write(target) as handle:
            handle.write(first_line(form, count, dimension))
            shutil.copyfileobj(rows, handle, 1 << 20)
    keep_tokenizer(source, target)
    return count, dimension


def _order(terms: Sequence[str], loaded: list[str], bad: set[str], source: str) -> list[int]:
    """The rows of the terms among those that were loaded; those whose vectors cannot be read are left out."""
    index = {term: row for row, term in enumerate(loaded)}
    missing = [term for term in terms if term not in index and term not in bad]
    if missing:
        raise ValueError(f"{len(missing)} of {len(terms)} terms are not in {source!r}. Received: {missing[:10]}")
    return [index[term] for term in terms if term in index]
