"""The `.npz` form of term vectors: half precision, without pickle."""

import os
import zipfile
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from devise_tf.files import atomic_write, read_array

_MAX_BYTES = 1 << 32
_SAMPLE_BYTES = 1 << 20


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
) -> None:
    """Saves term vectors in half precision, atomically. The same input gives the same bytes.

    The file is a `.npz` archive of `terms` (uint8, UTF-8, joined by line ends), `vectors` (float16 `[V, D]`) and,
    where given, `counts` (int64 `[V]`). It is compressed where that saves a tenth or more. Values are rounded to 11
    bits, a relative error of 0.0005 at most.

    Args:
        path: Path of the file.
        terms: Strings. V different terms without white space.
        vectors: Floats [V, D]. At most 65504.
        counts: Integers [V], optional. How often each term occurs in the corpus.

    Raises:
        ValueError: An argument is not as above.
    """
    vectors = np.asarray(vectors)
    check_term_vectors(terms, vectors)
    with np.errstate(over="ignore"):
        halves = vectors.astype(np.float16)
    bad = ~np.isfinite(halves).all(axis=1) | (vectors.any(axis=1) & ~halves.any(axis=1))
    if bad.any():
        raise ValueError(
            "Half precision holds values of at most 65504 and forgets those below 3e-8: scale the vectors, or choose "
            f"another form. Received: vector of {terms[int(np.argmax(bad))]!r}: {vectors[int(np.argmax(bad))]}"
        )
    arrays: dict[str, np.ndarray] = {"terms": np.frombuffer("\n".join(terms).encode("utf-8"), np.uint8)}
    arrays["vectors"] = halves
    if counts is not None:
        arrays["counts"] = np.asarray(counts, np.int64)
        if arrays["counts"].shape != (len(terms),):
            raise ValueError(
                f"`counts` must hold one count a term. Received: {len(terms)} terms, counts of shape "
                f"{arrays['counts'].shape}"
            )
    sample = halves.reshape(-1)[: _SAMPLE_BYTES // 2].tobytes()
    save: Callable[..., None] = np.savez_compressed if len(zlib.compress(sample)) <= 0.9 * len(sample) else np.savez
    with atomic_write(path) as handle:
        save(handle, allow_pickle=False, **arrays)


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
            if not {"terms.npy", "vectors.npy"} <= set(names) <= {"terms.npy", "vectors.npy", "counts.npy"}:
                raise ValueError(f"a NumPy archive must hold `terms`, `vectors` and perhaps `counts`, not {names}.")
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_BYTES:
                raise ValueError(f"the archive holds more than {_MAX_BYTES} bytes.")
            terms = read_array(archive, "terms", [np.uint8], [None]).tobytes().decode("utf-8").split("\n")
            halves = read_array(archive, "vectors", [np.float16], [None, None])
            counts = read_array(archive, "counts", [np.int64], [None]) if "counts.npy" in names else None
    # RuntimeError and NotImplementedError: an encrypted archive, or compressed in a way this Python cannot read.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"the archive is damaged ({error}); is the file truncated?") from error
    if len(terms) != len(halves) or not halves.size or (counts is not None and len(counts) != len(terms)):
        lengths = f"{len(terms)} terms, vectors of shape {halves.shape}"
        raise ValueError(f"the archive's parts do not fit: {lengths}, {0 if counts is None else len(counts)} counts.")
    finite = np.isfinite(halves).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(f"row {row + 1}, the vector of {terms[row]!r}, holds values that are not finite.")
    return terms, halves.astype(np.float32), counts
