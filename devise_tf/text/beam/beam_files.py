"""Files of any file system that Beam knows."""

import io
from collections.abc import Iterator
from typing import IO, Any

from devise_tf.text.beam.sdk import CompressionTypes, FileSystems


def open_file(path: str) -> IO[bytes]:
    """Opens a file for reading, as it is: not decompressed."""
    handle: Any = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    # Some file systems give readers that find line ends byte by byte.
    return handle if isinstance(handle, io.BufferedReader) else io.BufferedReader(handle, 1 << 20)


def create_file(path: str) -> IO[bytes]:
    """Opens a new file for writing."""
    return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)


def _lines_of(path: str) -> Iterator[str]:
    with open_file(path) as handle:
        for line in handle:
            yield line.decode("utf-8").rstrip("\n")


def read_text(prefix: str) -> Iterator[str]:
    """The lines that `WriteToText` wrote."""
    for file in FileSystems.match([prefix + "-*-of-*"])[0].metadata_list:
        yield from _lines_of(file.path)
