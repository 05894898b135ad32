"""Text to words."""

import functools
import re

import numpy as np

# What separates words, for Python, for TensorFlow's graphs and for ASCII bytes. Whoever changes it raises `VERSION` in
# encoded_corpus.py, so that encoded text is encoded again; vectors that were trained before keep their terms.
# What words are made of, `\w` without the underscore, is exactly the Unicode categories L and N. Line ends stay, for
# blocks of lines.
_SEPARATORS = re.compile(r"(?:[^\w\n]|_)+")
SEPARATORS_RE2 = r"[^\p{L}\p{N}]+"
# Of ASCII, four times as fast: letters in lower case, digits and line ends as they are, a space for all else. Bytes of
# other characters stay: they are dealt with before.
_ASCII = bytes(
    code if code >= 128 or code == ord("\n") else ord(chr(code).lower()) if chr(code).isalnum() else ord(" ")
    for code in range(256)
)
_NOT_ASCII = re.compile(rb"[\x80-\xff]+")
_CAPITAL_SIGMA = "Σ".encode()


def tokenize(text: str) -> list[str]:
    r"""Splits text into words: lower case, and only letters and numbers.

    The text is put into lower case by Unicode's full rules (a final sigma is "ς", "İ" becomes "i" and a combining
    dot), independent of the language; then every run of characters that are neither letters (category L) nor numbers
    (category N) separates words. So the underscore, the apostrophe and the hyphen separate, and so do combining marks:
    text is not normalized, and "é" written as "e" and a combining accent ends the word after the "e". Scripts
    written without spaces, such as Chinese, give one word a run.

    `devise_tf.export.label_graph.split_label_text` gives the same words inside a graph, but for letters that one of the
    two Unicode tables does not know yet (added in 2021 or later), and for lone surrogates, which have no UTF-8 form.

    Args:
        text: String. Any text, of any length. It is fastest if it is all ASCII.

    Returns:
        The words, in order.

    Example:

    >>> tokenize("The snow-leopard's 2 cubs")
    ['the', 'snow', 'leopard', 's', '2', 'cubs']
    """
    if text.isascii():
        return text.encode("ascii").translate(_ASCII).decode("ascii").split()
    return _fold(text).split()


def fold_block(block: bytes) -> bytes:
    r"""Gives a block of lines such that its words, those of `tokenize`, lie between spaces.

    Args:
        block: Bytes. Whole lines in UTF-8. Bytes that are not UTF-8 separate words.

    Returns:
        The words in order, in UTF-8, and `b"\n"` as a word of its own for each line end, with one or more spaces
        between any two.

    Example:

    >>> fold_block(b"The snow-leopard\n2 cubs\n").split(b" ")
    [b'the', b'snow', b'leopard', b'\n', b'2', b'cubs', b'\n', b'']
    """
    if not block.isascii():
        # The lower case of no character but the capital sigma depends on what stands beside it, so that the runs of
        # characters beyond ASCII, which are few in many languages, can be dealt with alone.
        if 8 * np.count_nonzero(np.frombuffer(block, np.int8) < 0) > len(block):
            block = _fold_bytes(block)
        else:
            if _CAPITAL_SIGMA in block:
                block = b"\n".join(
                    [_fold_bytes(line) if _CAPITAL_SIGMA in line else line for line in block.split(b"\n")]
                )
            block = _NOT_ASCII.sub(lambda run: _fold_run(run[0]) if len(run[0]) <= 64 else _fold_bytes(run[0]), block)
    return block.translate(_ASCII).replace(b"\n", b" \n ")


def normalize_term(text: str) -> str:
    """Gives the vocabulary entry of a single- or multi-word term: its words joined by "_".

    Args:
        text: String. A term such as `"Snow leopard"`; an already normalized one is returned as it is.

    Returns:
        The entry, such as `"snow_leopard"`.

    Raises:
        ValueError: The term holds no letter and no number.
    """
    words = tokenize(text)
    if not words:
        raise ValueError(f"A term must hold at least one letter or number. Received: text={text!r}")
    return "_".join(words)


def _fold(text: str) -> str:
    """Lower case, with a space for whatever separates words but line ends."""
    return _SEPARATORS.sub(" ", text.lower())


def _fold_bytes(text: bytes) -> bytes:
    return _fold(text.decode("utf-8", errors="replace")).encode("utf-8")


_fold_run = functools.lru_cache(1 << 16)(_fold_bytes)
