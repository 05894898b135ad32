"""Where vectors are read from: a file, a compressed one, or one in an archive."""

import contextlib
import io
import os
import re
import tarfile
import zipfile
from collections.abc import Iterator
from typing import IO, Any

from devise_tf.files import MAGIC_BYTES, decompressor
from devise_tf.packaged import packaged_files, packaged_path
from devise_tf.text.vector_kinds import check_kind

_ZIP = b"PK\x03\x04"
_HEAD_BYTES = 512
# Files that lie beside vectors in archives.
_OTHER_FILES = re.compile(r"(?i)(.*/)?(\.[^/]*|(readme|licen[cs]e)[^/]*|[^/]*\.(md|json|html|pdf))$|__MACOSX/.*")


def find_vectors(name: str | os.PathLike) -> str:
    """The path of a vector file.

    Args:
        name: Path. A vector file; `ARCHIVE!FILE` for one of several in a ZIP or tar archive; or the name of vectors
            that come with the package. Where a file and such a name both exist, the file wins.

    Raises:
        FileNotFoundError: There is none of them.
    """
    path = packaged_path(os.fspath(name))
    if os.path.isfile(split_path(path)[0]):
        return path
    in_package = packaged_files("vectors")
    if path not in in_package:
        folder = " That is a folder; name a file in it." if os.path.isdir(path) else ""
        raise FileNotFoundError(
            "There is no such vector file, nor do vectors of that name come with the package, which has "
            f"{', '.join(in_package) or 'none'}.{folder} Received: {os.fspath(name)!r}"
        )
    return in_package[path]


def split_path(path: str) -> tuple[str, str]:
    """The path of a file, and which file in that archive is meant (`ARCHIVE!FILE`), `""` if none is named."""
    file, _, member = path.partition("!")
    return (path, "") if os.path.isfile(path) else (file, member)


def is_npz(path: str) -> bool:
    """Whether a file is a ZIP archive of NumPy arrays."""
    if split_path(path)[1] or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


@contextlib.contextmanager
def open_content(path: str) -> Iterator[tuple[io.BufferedReader, io.BufferedReader]]:
    """Opens what a vector file holds, decompressed as it is read.

    Args:
        path: Path of the file, or `ARCHIVE!FILE`.

    Yields:
        Two handles: the content, and the file on disk, whose `tell()` gives the progress. For a plain file they are
        the same.

    Raises:
        ValueError: The file is of another kind, or an archive in which no single file can be chosen.
    """
    file, member = split_path(path)
    with open(file, "rb") as disk, contextlib.ExitStack() as stack:
        content = disk
        if disk.peek(len(_ZIP)).startswith(_ZIP):
            content = stack.enter_context(_decompressed(_open_zip(disk, file, member, stack)))
        else:
            content = stack.enter_context(_decompressed(disk))
            if content.peek(_HEAD_BYTES)[257:262] == b"ustar":
                content = stack.enter_context(_decompressed(_open_tar(content, file, member, stack)))
            elif member:
                raise ValueError(f"the file is no archive, so there is no {member!r} in it.")
        check_kind(content.peek(_HEAD_BYTES))
        yield content, disk


def _decompressed(file: io.BufferedReader) -> io.BufferedReader:
    # By the first bytes alone: browsers unpack files and leave them their names.
    decompress = decompressor(file.peek(MAGIC_BYTES))
    return decompress(file) if decompress else file


def _open_zip(disk: IO[bytes], file: str, member: str, stack: contextlib.ExitStack) -> io.BufferedReader:
    try:
        archive = stack.enter_context(zipfile.ZipFile(disk))
    except zipfile.BadZipFile as error:
        raise ValueError(f"the archive is damaged ({error}); is the file truncated?") from error
    names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        raise ValueError("the file is a PyTorch file, which holds a pickle: write its terms and vectors as text.")
    if "model.weights.h5" in names:
        raise ValueError("the file is a Keras model: write the terms and vectors of its embedding as text.")
    entry = archive.getinfo(_choose(names, file, member))
    if entry.flag_bits & 1:
        raise ValueError(f"{entry.filename!r} in the archive is encrypted: unpack it, and name the file.")
    try:
        return _buffered(stack.enter_context(archive.open(entry)))
    except NotImplementedError as error:
        raise ValueError(f"the archive is compressed in an unknown way ({error}): unpack it.") from error


def _open_tar(content: IO[bytes], file: str, member: str, stack: contextlib.ExitStack) -> io.BufferedReader:
    archive = stack.enter_context(tarfile.open(fileobj=content, mode="r:"))
    files = {entry.name: entry for entry in archive.getmembers() if entry.isfile()}
    return _buffered(archive.extractfile(files[_choose(list(files), file, member)]))


def _buffered(handle: Any) -> io.BufferedReader:
    return io.BufferedReader(handle, 1 << 20)


def _choose(names: list[str], file: str, member: str) -> str:
    """The file in an archive that is named, or the only one that may hold vectors."""
    if member in names:
        return member
    names = [name for name in names if not _OTHER_FILES.match(name)]
    if not member and len(names) == 1:
        return names[0]
    if not names:
        raise ValueError("the archive holds no file that could hold vectors.")
    problem = f"no file {member!r}, but" if member else "several files:"
    some = f"{', '.join(names[:20])}{', …' if len(names) > 20 else ''}"
    raise ValueError(f"the archive holds {problem} {some}. Name one, such as '{file}!{names[0]}'.")
