"""The rows of an open vector file."""

import contextlib
import dataclasses
import functools
import os
import tarfile
import zipfile
from collections.abc import Callable, Container, Iterable, Iterator

import numpy as np

from devise_tf.choices import MAX_BAD_ROWS, NPZ_FORMS, VECTOR_FORMS
from devise_tf.files import DECOMPRESSION_ERRORS
from devise_tf.text.bad_rows import BadRows
from devise_tf.text.vector_forms import Form, Item, Row, TruncatedFile, form_of, npz_form
from devise_tf.text.vector_source import find_vectors, is_npz, open_content

_PROGRESS_ROWS = 5000
_DAMAGE = (*DECOMPRESSION_ERRORS, zipfile.BadZipFile, tarfile.TarError)

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class VectorRows:
    """An open vector file, whose rows are read once.

    Attributes:
        form: `Form`. What they look like.
        bad: `BadRows`. Those that were left out so far.
        progress: Function. Takes the rows and gives them again, as it shows how far they are.
    """

    form: Form
    bad: BadRows
    progress: Callable[[Iterable[Item]], Iterable[Item]]

    def terms(self) -> Iterator[str]:
        """The terms, which may repeat; their values are not looked at."""
        return (term for _, term, _ in self._rows(frozenset()))

    def vectors(self, wanted: Container[str] | None = None) -> Iterator[tuple[str, np.ndarray]]:
        """Terms, which may repeat, and their vectors, float32 `[D]`, views that hold until the next one is asked for.

        Args:
            wanted: Container of strings, optional. Only these terms.
        """
        is_empty = True
        for number, term, values in self._rows(wanted):
            if wanted is not None and term not in wanted:
                continue
            try:
                vector = _parse_values(values)
            except ValueError as error:
                self.bad.terms.add(term)
                self.bad.add(f"{self.form.unit} {number}, the vector of {term!r}, holds {error}.")
                continue
            is_empty = False
            yield term, vector
        if is_empty and wanted is None and self.bad.count:
            raise ValueError(f"no row can be read, {self.bad}")

    def _rows(self, wanted: Container[str] | None) -> Iterator[Row]:
        for item in self._counted(self.progress(self.form.items(wanted))):
            try:
                row = self.form.row(*item)
            except TruncatedFile:
                raise
            except ValueError as error:
                self.bad.add(str(error))
            else:
                yield row

    def _counted(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yields the rows, then holds their number against that of the first line."""
        number, item, count = 0, None, self.form.count
        for number, item in enumerate(items, start=1):  # noqa: B007
            yield item
        if count is None or number == count:
            return
        message = f"line 1 says {count} vectors, but there are {number}"
        if number < count and item and isinstance(item[-1], bytes) and not item[-1].endswith(b"\n"):
            raise TruncatedFile(f"{message}; is the file truncated?")
        self.bad.add(f"{message}.", abs(count - number))


@contextlib.contextmanager
def open_rows(
    path: str | os.PathLike,
    form: str | None = None,
    progress: Progress | None = None,
    max_bad_rows: int = MAX_BAD_ROWS,
) -> Iterator[VectorRows]:
    """Opens a vector file to go through it row by row; arguments and errors are those of `load_vectors`."""
    if form is not None:
        check_form(form)
    path = find_vectors(path)
    bad = BadRows(max_bad_rows)
    try:
        if form in NPZ_FORMS or (form is None and is_npz(path)):
            yield VectorRows(npz_form(path), bad, iter)
            return
        with open_content(path) as (content, disk):
            size = os.fstat(disk.fileno()).st_size
            show = functools.partial(_with_progress, tell=disk.tell, size=size, progress=progress)
            yield VectorRows(form_of(content, form, size if disk is content else None), bad, show)
    except (ValueError, *_DAMAGE) as error:
        problem = f"the compressed file is damaged or truncated ({error})." if isinstance(error, _DAMAGE) else error
        raise ValueError(f"Cannot load vectors: {problem} Received: {path=}, {form=}") from error


def check_form(form: str) -> None:
    if form not in VECTOR_FORMS:
        raise ValueError(f"`form` must be one of {VECTOR_FORMS}. Received: form={form!r}")


def _parse_values(values: list[bytes] | np.ndarray) -> np.ndarray:
    # A value beyond float32 becomes infinite.
    with np.errstate(over="ignore"):
        try:
            vector = np.array(list(map(float, values)), np.float32) if isinstance(values, list) else values
        except ValueError as error:
            raise ValueError(f"something that is not a number ({error})") from error
    if not np.isfinite(vector).all():
        raise ValueError("values that are not finite")
    return vector


def _with_progress(
    items: Iterable[Item], tell: Callable[[], int], size: int, progress: Progress | None
) -> Iterator[Item]:
    for number, item in enumerate(items):
        if progress and number % _PROGRESS_ROWS == 0:
            progress(tell(), size)
        yield item
    if progress:
        progress(size, size)
