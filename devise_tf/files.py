"""Reading compressed files and arrays, and writing files atomically."""

import bz2
import contextlib
import functools
import gzip
import io
import lzma
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import numpy as np

# What the decompressors raise for a damaged or truncated file.
DECOMPRESSION_ERRORS = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)


class _Bz2File(bz2.BZ2File):
    """Bzip2 content whose damage is an `EOFError`, not an `OSError`, which would speak of the disk."""

    def readinto(self, buffer) -> int:
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise EOFError(str(error)) from error


# Content of a compressed file: how it begins, a file's suffix, and what opens it.
_COMPRESSIONS: tuple[tuple[bytes, str, Callable[[IO[bytes]], Any]], ...] = (
    (rb"\x1f\x8b", ".gz", lambda file: gzip.GzipFile(fileobj=file)),
    (rb"BZh[1-9]1AY&SY", ".bz2", _Bz2File),
    (rb"\xfd7zXZ\x00", ".xz", lzma.LZMAFile),
)
MAGIC_BYTES = 10


def decompressor(magic: bytes, name: str = "") -> Callable[[IO[bytes]], io.BufferedReader] | None:
    """What opens the content of a gzip, bzip2 or xz file; None for other files.

    The first bytes of a file decide, or its suffix if they do not tell: a damaged `.gz` file is then an error, and not
    read as text.

    Args:
        magic: Bytes. The first `MAGIC_BYTES` of the file.
        name: String. The file's name.
    """
    for start, suffix, opener in _COMPRESSIONS:
        if re.match(start, magic) or name.endswith(suffix):
            return functools.partial(_buffered, opener)
    return None


def _buffered(opener: Callable[[IO[bytes]], Any], file: IO[bytes]) -> io.BufferedReader:
    return io.BufferedReader(opener(file), 1 << 20)


def open_compressed(path: str | os.PathLike) -> tuple[io.BufferedReader, io.BufferedReader]:
    """Opens a plain, gzip, bzip2 or xz file for reading; see `decompressor`.

    Args:
        path: Path of the file.

    Returns:
        Two handles: the decompressed content, and the file on disk, whose `tell()` gives the progress. For a plain
        file they are the same. Close both.
    """
    disk = open(path, "rb")
    try:
        decompress = decompressor(disk.peek(MAGIC_BYTES), os.fspath(path))
        return decompress(disk) if decompress else disk, disk
    except BaseException:
        disk.close()
        raise


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """Yields a binary handle; `path` appears, complete and on disk, only when the block ends without an error.

    Args:
        path: Path of the file. An existing file is replaced.

    Raises:
        OSError: The file cannot be written; an existing file is left unchanged.
    """
    path = os.fspath(path)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, f"{error.strerror} while writing", path) from error
        raise


@contextlib.contextmanager
def atomic_path(path: str) -> Iterator[str]:
    """Yields a temporary path beside `path`, which becomes `path` when the block ends without an error."""
    directory = os.path.dirname(os.path.abspath(path))
    os.makedirs(directory, exist_ok=True)
    root, extension = os.path.splitext(os.path.basename(path))
    # The extension stays last: Keras goes by it.
    handle, temporary = tempfile.mkstemp(prefix=f".{root}-", suffix=extension, dir=directory)
    os.close(handle)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


def read_array(
    archive: zipfile.ZipFile, name: str, dtypes: Sequence[type | str], shape: Sequence[int | None]
) -> np.ndarray:
    """Reads one array of an open `.npz` archive without pickle; no more is allocated than the archive holds.

    Args:
        archive: zipfile.ZipFile. The open archive.
        name: String. Name of the array.
        dtypes: Sequence of dtypes. The array must have one of them.
        shape: Sequence of integers or None, which stands for any length.

    Raises:
        ValueError: The array has another dtype or shape, or is not as long as its header says.
    """
    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"`{name}` is compressed in a way that NumPy does not write.")
    with archive.open(entry) as file:
        # The version of short headers, which these all are.
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"`{name}` has the unknown version {version} of NumPy's form.")
        actual, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        # The size is known from the archive; what the array's header says must not lead to an allocation.
        size = entry.file_size - file.tell()
        allowed = [np.dtype(allowed) for allowed in dtypes]
        fits = len(actual) == len(shape) and all(want in (None, have) for want, have in zip(shape, actual, strict=True))
        if dtype not in allowed or not fits or fortran:
            order = " in Fortran order" if fortran else ""
            raise ValueError(
                f"`{name}` must be {' or '.join(map(str, allowed))} of shape {tuple(shape)}, "
                f"not {dtype} of shape {actual}{order}."
            )
        expected = dtype.itemsize
        for length in actual:
            expected *= length
        if expected != size:
            raise ValueError(f"`{name}` of shape {actual} needs {expected} bytes, but has {size}.")
        return np.frombuffer(file.read(), dtype).reshape(actual)
