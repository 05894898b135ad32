"""What a file is that was given as a vector file and is none."""

import re

_UNPACK = "unpack it, and name the file that comes out"
_WRITE = "write its terms and vectors as lines `term x1 … xD`"
_FETCH = "it is not what was to be downloaded; look at it, and fetch the file again"
_EXPORT = (
    "a pickle can run any code when it is read, so it is never read here; load it where you trust it, in gensim for "
    "one, and write its vectors: KeyedVectors.load(FILE).save_word2vec_format('vectors.bin', binary=True), or "
    "Word2Vec.load(FILE).wv.save_word2vec_format(…)"
)

# How files of other kinds begin, what they are, and what to do.
_KINDS = [
    (rb"\x80[\x02-\x05]|ccopy_reg\n|\([dl]p?[01]?\n", "a Python pickle, such as gensim's save() writes", _EXPORT),
    (rb"\x93NUMPY", "a NumPy array (.npy), which has no terms", f"{_WRITE}, or export the model that it is a part of"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", f"open it with h5py or pandas, and {_WRITE}"),
    (rb"PAR1", "a Parquet file", f"open it with pandas, and {_WRITE}"),
    (rb"ARROW1|FEA1", "an Arrow file", f"open it with pandas, and {_WRITE}"),
    (rb".{2,4}\x00{4,6}\{", "a safetensors file", f"open it with the library safetensors, and {_WRITE}"),
    (rb"SQLite format 3\x00", "an SQLite database", f"read it with Python's sqlite3, and {_WRITE}"),
    (rb"GGUF", "a GGUF file, a language model", "take vectors of terms"),
    (rb"\x1f\x8b|BZh[1-9]1AY&SY|\xfd7zXZ\x00|PK\x03\x04", "a compressed file inside a compressed file", _UNPACK),
    (rb"PK\x05\x06", "an empty ZIP archive", "fetch it again"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (rb"\x28\xb5\x2f\xfd", "a Zstandard file", _UNPACK),
    (rb"\x04\x22\x4d\x18", "an LZ4 file", _UNPACK),
    (rb"\x1f\x9d", "a file of Unix's compress", _UNPACK),
    (rb"%PDF-\d", "a PDF document", _FETCH),
    (rb"version https://git-lfs", "a Git LFS pointer, which stands for the file", "fetch the file: git lfs pull"),
    (rb"\xff\xfe|\xfe\xff", "UTF-16 text", "convert it to UTF-8"),
    (rb"(?i)\s*<(!doctype\s+html|html[^<\n]*>\s*(<|$)|\?xml\s+version)", "a web page", _FETCH),
    (rb"\s*([\[{]\s*)+\"[^\"\n]*\"\s*[:,]", "a JSON file", _WRITE),
]


def check_kind(head: bytes) -> None:
    """Names a file of another kind by its first bytes.

    Raises:
        ValueError: It is of another kind than vector files are.
    """
    for start, kind, advice in _KINDS:
        if re.match(start, head.removeprefix(b"\xef\xbb\xbf"), re.DOTALL):
            raise ValueError(f"the file is {kind}: {advice}.")


def no_first_line(head: bytes) -> ValueError:
    """The error about a file whose first line should be a vector and is not, by the first bytes of the file."""
    hint, line = "", head.partition(b"\n")[0]
    if head.translate(None, bytes(range(9))) != head:
        hint = f" It is a binary file of a kind that is not known here, such as fastText's before 2017: {_WRITE}."
    elif re.match(rb"[^,;\s]+([,;]\s*[-+.\deE]+){2}", line):
        hint = " It looks like a table with commas: put spaces in their place."
    return ValueError(
        "line 1 holds no vector, as `term x1 … xD`, nor the number of vectors and their dimension: "
        f"{line[:80]!r}.{hint}"
    )
