"""Text to words: what a rule is, and the default one."""

import abc
import functools
import hashlib
import re
import unicodedata

import numpy as np

# The rules below: whoever changes one raises `VERSION` in encoded_corpus.py, so that encoded text is encoded again;
# vectors that were trained before keep their terms.

# Of ASCII, four times as fast: letters in lower case, digits and line ends as they are, a space for all else. Bytes of
# other characters stay: they are dealt with before.
ASCII = bytes(
    code if code >= 128 or code == ord("\n") else ord(chr(code).lower()) if chr(code).isalnum() else ord(" ")
    for code in range(256)
)
NOT_ASCII = re.compile(rb"[\x80-\xff]+")


# Rules of TensorFlow Text.
UNICODE_SCRIPT, SENTENCEPIECE = TF_TEXT_TOKENIZERS = ("unicode_script", "sentencepiece")


class Tokenizer(abc.ABC):
    """A rule by which text becomes words.

    Attributes:
        name: String. What the rule is called, a value of `--tokenizer`.
        model: Bytes. The model that a rule of SentencePiece is; empty for others.
        finds_parts: Boolean. Whether a term that has no vector is looked for as people may have written it, and in its
            longest known parts (see `TermIndex`).
    """

    name: str
    model: bytes = b""
    finds_parts = True

    def __repr__(self) -> str:
        return f"<Tokenizer {self.name}>"

    @abc.abstractmethod
    def tokenize(self, text: str) -> list[str]:
        """The words of a text, in order."""

    @abc.abstractmethod
    def fold_block(self, block: bytes) -> bytes:
        r"""Gives a block of lines such that its words, those of `tokenize`, lie between spaces.

        Args:
            block: Bytes. Whole lines in UTF-8. Bytes that are not UTF-8 separate words.

        Returns:
            The words in order, in UTF-8, and `b"\n"` as a word of its own for each line end, with one or more spaces
            between any two.

        Example:

        >>> WORDS.fold_block(b"The snow-leopard\n2 cubs\n").split(b" ")
        [b'the', b'snow', b'leopard', b'\n', b'2', b'cubs', b'\n', b'']
        """

    def fingerprint(self) -> str:
        """What tells this rule from others: its name, and the SHA-256 of its model."""
        return f"{self.name}:{hashlib.sha256(self.model).hexdigest()}" if self.model else self.name

    def key(self, text: str) -> str:
        """The words of a text joined by "_", as a vocabulary has multi-word terms; `""` if it has none."""
        return "_".join(self.tokenize(text))

    def normalize_term(self, text: str) -> str:
        """Gives the vocabulary entry of a single- or multi-word term: its words joined by "_".

        Args:
            text: String. A term such as `"Snow leopard"`; an already normalized one is returned as it is.

        Returns:
            The entry, such as `"snow_leopard"`.

        Raises:
            ValueError: The term holds no letter and no number.
        """
        key = self.key(text)
        if not key:
            raise ValueError(f"A term must hold at least one letter or number. Received: text={text!r}")
        return key


class WordTokenizer(Tokenizer):
    """Words are runs of letters, numbers and the marks that belong to them, normalized and without case.

    Characters are mapped as Unicode's NFKC_Casefold says ("Straße" -> `strasse`, "ﬁn" -> `fin`, "m²" -> `m2`, and
    nothing for soft hyphens and joiners) and composed (NFC), independent of the language. Then each run of letters
    (category L) and numbers (N), with the marks (M) behind them, is a word; so the vowel signs of Indian scripts stay
    with their consonants, while the underscore, the apostrophe and the hyphen separate. The zero width space separates
    too: it stands between the words of scripts that are written without others. Chinese and Japanese have no such
    signs and give one word a run: see `--tokenizer=sentencepiece:FILE`.

    `devise_tf.export.text_graph` gives the same words inside a graph.

    Reference:
        - [Unicode 16.0](https://www.unicode.org/versions/Unicode16.0.0/core-spec/chapter-3/), sections 3.11 and 3.13.
    """

    name = "words"

    def tokenize(self, text: str) -> list[str]:
        if text.isascii():
            return ascii_words(text)
        return _fold(text).split()

    def fold_block(self, block: bytes) -> bytes:
        if not block.isascii():
            # Few characters beyond ASCII, as in many languages, are dealt with alone.
            if mostly_beyond_ascii(block):
                block = _fold_bytes(block)
            else:
                block = _fold_runs(block)
        return block.translate(ASCII).replace(b"\n", b" \n ")


WORDS = WordTokenizer()


def tokenize(text: str) -> list[str]:
    """Splits text into words by the default rule, see `WordTokenizer`.

    Args:
        text: String. Any text, of any length. It is fastest if it is all ASCII.

    Returns:
        The words, in order.

    Example:

    >>> tokenize("The snow-leopard's 2 cubs")
    ['the', 'snow', 'leopard', 's', '2', 'cubs']
    """
    return WORDS.tokenize(text)


def normalize_term(text: str) -> str:
    """Gives the vocabulary entry of a term by the default rule, see `Tokenizer.normalize_term`."""
    return WORDS.normalize_term(text)


def is_mark(character: str) -> bool:
    """Whether a character is a mark, which belongs to the letter before it (Unicode category M)."""
    return unicodedata.category(character)[0] == "M"


def fold_character(character: str) -> str:
    """What a character becomes, before the whole is composed: letters, numbers, marks and spaces, or nothing."""
    if character == "\u200b":  # zero width space
        return " "
    folded, before = character, ""
    while folded != before:
        before = folded
        kept = "".join(c for c in folded if not _IGNORABLE.match(c))
        folded = unicodedata.normalize("NFKC", kept.casefold())
    return "".join(c if c == "\n" or unicodedata.category(c)[0] in "LNM" else " " for c in folded)


# Unicode's Default_Ignorable_Code_Point: soft hyphen, joiners, marks of direction, variation selectors, fillers.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


class _FoldedCharacters(dict):
    """What characters become, by code point, for `str.translate`; made as they are met."""

    def __missing__(self, code: int) -> str:
        self[code] = fold_character(chr(code))
        return self[code]


_FOLDED = _FoldedCharacters()


@functools.cache
def _marks_without_letter() -> re.Pattern:
    # No other planes have marks.
    codes = (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0))
    return re.compile(rf"(?<!\S)[{''.join(filter(is_mark, map(chr, codes)))}]+")


def _fold(text: str) -> str:
    """The words of a text with spaces between them; line ends stay."""
    return _without_lone_marks(_fold_characters(text))


def _fold_characters(text: str) -> str:
    return unicodedata.normalize("NFC", text.translate(_FOLDED))


def _without_lone_marks(folded: str) -> str:
    return _marks_without_letter().sub("", folded)


def _fold_bytes(text: bytes) -> bytes:
    return _fold(text.decode("utf-8", errors="replace")).encode("utf-8")


# Stands where the letter before it is to be dropped. In text it separates words.
_DROPS_LETTER = b"\x01"
_DROPPED = re.compile(rb"[A-Za-z0-9]\x01")


def _fold_runs(text: bytes) -> bytes:
    """Folds the runs of characters beyond ASCII, with the ASCII letter before them where they begin with its mark."""

    def fold(run: re.Match[bytes]) -> bytes:
        folded = _fold_run(run[0]) if len(run[0]) <= 64 else _fold_whole_run(run[0])
        if folded is not None:
            return folded
        before = text[run.start() - 1 : run.start()]
        return _DROPS_LETTER + _fold_bytes(before + run[0]) if before.isalnum() else _fold_bytes(run[0])

    text = text.replace(_DROPS_LETTER, b" ")
    folded = NOT_ASCII.sub(fold, text)
    return _DROPPED.sub(b"", folded) if _DROPS_LETTER in folded else folded


def _fold_whole_run(run: bytes) -> bytes | None:
    """A run, folded; None if it begins with a mark and so may belong to the letter before it."""
    folded = _fold_characters(run.decode("utf-8", errors="replace"))
    return None if folded and is_mark(folded[0]) else _without_lone_marks(folded).encode("utf-8")


_fold_run = functools.lru_cache(1 << 16)(_fold_whole_run)


def ascii_words(text: str) -> list[str]:
    return text.encode("ascii").translate(ASCII).decode("ascii").split()


def mostly_beyond_ascii(block: bytes) -> bool:
    return bool(8 * np.count_nonzero(np.frombuffer(block, np.int8) < 0) > len(block))
