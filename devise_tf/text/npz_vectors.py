"""The `.npz` forms of term vectors: half precision or whole numbers, without pickle."""

import os
import zipfile
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from devise_tf.files import atomic_write, read_array

_MAX_BYTES = 1 << 32
_SAMPLE_BYTES = 1 << 20
_ARRAYS = ("terms", "vectors", "scales", "counts")
_LARGEST = 127  # of int8, on either side


def check_term_vectors(terms: Sequence[str], vectors: np.ndarray) -> None:
    """Raises a `ValueError` unless there is a vector for each of the terms, which differ and hold no white space."""
    if vectors.ndim != 2 or len(vectors) != len(terms) or vectors.shape[1] < 1:
        raise ValueError(
            f"`vectors` must have the shape [terms, D]. Received: {len(terms)} terms, vectors of shape {vectors.shape}"
        )
    if len(set(terms)) != len(terms):
        raise ValueError(f"`terms` must differ. Received: {len(terms)} terms, {len(set(terms))} of them different")
    for term in terms:
        # A byte-order mark before the first term would be taken for the file's own.
        if not term or len(term.split()) != 1 or term != term.strip() or term.startswith("\ufeff"):
            raise ValueError(f"A term must be non-empty and without white space. Received: {term!r}")


def save_npz(
    path: str | os.PathLike,
    terms: Sequence[str],
    vectors: np.ndarray,
    counts: Sequence[int] | np.ndarray | None = None,
    int8: bool = False,
) -> None:
    """Saves term vectors in half precision or as whole numbers, atomically. The same input gives the same bytes.

    The file is a `.npz` archive of `terms` (uint8, UTF-8, joined by line ends), `vectors` (float16 `[V, D]`) and,
    where given, `counts` (int64 `[V]`). It is compressed where that saves a tenth or more. Values are rounded to 11
    bits, a relative error of 0.0005 at most. With `int8` the vectors are int8 `[V, D]`, half as large, and `scales`,
    float32 `[V]`, is what each row is multiplied by: 1/127 of its largest value, of which the error is 0.4 % at most.

    Args:
        path: Path of the file.
        terms: Strings. V different terms without white space.
        vectors: Floats [V, D]. At most 65504.
        counts: Integers [V], optional. How often each term occurs in the corpus.
        int8: Boolean. Whether to save whole numbers.

    Raises:
        ValueError: An argument is not as above.
    """
    vectors = np.asarray(vectors)
    check_term_vectors(terms, vectors)
    arrays: dict[str, np.ndarray] = {"terms": np.frombuffer("\n".join(terms).encode("utf-8"), np.uint8)}
    arrays |= _whole_numbers(terms, vectors) if int8 else {"vectors": _halves(terms, vectors)}
    if counts is not None:
        arrays["counts"] = np.asarray(counts, np.int64)
        if arrays["counts"].shape != (len(terms),):
            raise ValueError(
                f"`counts` must hold one count a term. Received: {len(terms)} terms, counts of shape "
                f"{arrays['counts'].shape}"
            )
    sample = arrays["vectors"].tobytes()[:_SAMPLE_BYTES]
    save: Callable[..., None] = np.savez_compressed if len(zlib.compress(sample)) <= 0.9 * len(sample) else np.savez
    with atomic_write(path) as handle:
        save(handle, allow_pickle=False, **arrays)


def _halves(terms: Sequence[str], vectors: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        halves = vectors.astype(np.float16)
    bad = ~np.isfinite(halves).all(axis=1) | (vectors.any(axis=1) & ~halves.any(axis=1))
    if bad.any():
        raise ValueError(
            "Half precision holds values of at most 65504 and forgets those below 3e-8: scale the vectors, or choose "
            f"another form. Received: vector of {terms[int(np.argmax(bad))]!r}: {vectors[int(np.argmax(bad))]}"
        )
    return halves


def _whole_numbers(terms: Sequence[str], vectors: np.ndarray) -> dict[str, np.ndarray]:
    vectors = vectors.astype(np.float64)
    finite = np.isfinite(vectors).all(axis=1)
    scales = (np.abs(np.where(finite[:, None], vectors, 0)).max(axis=1) / _LARGEST).astype(np.float32)
    bad = ~finite | ~np.isfinite(scales) | (vectors.any(axis=1) & (scales == 0))
    if bad.any():
        raise ValueError(
            "Vectors must be finite, and within single precision. "
            f"Received: vector of {terms[int(np.argmax(bad))]!r}: {vectors[int(np.argmax(bad))]}"
        )
    numbers = vectors / np.where(scales > 0, scales, 1).astype(np.float64)[:, None]
    return {"vectors": np.clip(np.rint(numbers), -_LARGEST, _LARGEST).astype(np.int8), "scales": scales}


def load_npz(path: str | os.PathLike) -> tuple[list[str], np.ndarray, np.ndarray | None]:
    """Loads what `save_npz` wrote; no pickle is read.

    Returns:
        Terms, vectors as float32 `[V, D]`, and counts as int64 `[V]` or None.

    Raises:
        ValueError: The file is damaged, truncated, unsound or would need more than 4 GiB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if not {"terms.npy", "vectors.npy"} <= set(names) <= {f"{name}.npy" for name in _ARRAYS}:
                raise ValueError(
                    f"a NumPy archive must hold `terms`, `vectors` and perhaps `scales` and `counts`, not {names}."
                )
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_BYTES:
                raise ValueError(f"the archive holds more than {_MAX_BYTES} bytes.")
            terms = read_array(archive, "terms", [np.uint8], [None]).tobytes().decode("utf-8").split("\n")
            scaled = "scales.npy" in names
            rows = read_array(archive, "vectors", [np.int8 if scaled else np.float16], [None, None])
            scales = read_array(archive, "scales", [np.float32], [None]) if scaled else np.ones(len(rows), np.float32)
            counts = read_array(archive, "counts", [np.int64], [None]) if "counts.npy" in names else None
    # RuntimeError and NotImplementedError: an encrypted archive, or compressed in a way this Python cannot read.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"the archive is damaged ({error}); is the file truncated?") from error
    if (
        not len(terms) == len(rows) == len(scales)
        or not rows.size
        or (counts is not None and len(counts) != len(terms))
    ):
        lengths = f"{len(terms)} terms, vectors of shape {rows.shape}, {len(scales)} scales"
        raise ValueError(f"the archive's parts do not fit: {lengths}, {0 if counts is None else len(counts)} counts.")
    with np.errstate(over="ignore", invalid="ignore"):
        vectors = rows.astype(np.float32) * scales[:, None]
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(f"row {row + 1}, the vector of {terms[row]!r}, holds values that are not finite.")
    return terms, vectors, counts
