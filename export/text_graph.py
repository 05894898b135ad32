"""Text to words by TensorFlow's core operations, as the tokenizer gives them."""

import dataclasses
import functools
import itertools
import unicodedata

import numpy as np
import tensorflow as tf

from devise_tf.text.tokenizer import fold_character, is_mark

# What characters become is a list of code points, or one of these, which are computed from the character.
_ITSELF, _LEADING, _VOWEL, _TRAILING = -1, -2, -3, -4
_SYLLABLES = range(0xAC00, 0xD7A4)
_SPACE = ord(" ")
# All others become a space.
_FOLDED_CODES = (range(0x34000), range(0xE0000, 0xE1000))
# From here on, most letters are ideographs, which stay as they are.
_FIRST_IDEOGRAPH = 0x3400


def fold_text(texts: tf.Tensor) -> tf.Tensor:
    """The words of each text as `WordTokenizer` gives them, with single spaces between them, decomposed (NFD).

    Characters are those that the Python knows that builds the graph; what runs it has no part in it.

    Args:
        texts: string [L]. The texts, in UTF-8. Bytes that are not UTF-8 separate words.

    Returns:
        string [L]. `unicodedata.normalize("NFD", " ".join(WORDS.tokenize(text)))` of each text; a text without letters
        and numbers becomes `""`.

    Example:

    >>> fold_text(tf.constant(["Snow-Leopard", "Straße"])).numpy().tolist()
    [b'snow leopard', b'strasse']
    """
    # Most requests are all ASCII, for which it takes far less.
    is_ascii = tf.reduce_all(tf.strings.regex_full_match(texts, r"[\x00-\x7F]*"))
    words = tf.cond(is_ascii, lambda: _fold_ascii(texts), lambda: _fold_unicode(texts))
    return tf.strings.strip(words)


def _fold_ascii(texts: tf.Tensor) -> tf.Tensor:
    # Byte by byte: the lower case of UTF-8 would end at NUL, and in Turkish have another "i".
    return tf.strings.regex_replace(tf.strings.lower(texts), "[^a-z0-9]+", " ")


def _fold_unicode(texts: tf.Tensor) -> tf.Tensor:
    tables = _tables()
    # The space in front keeps what follows apart from the text before.
    codes = tf.strings.unicode_decode(tf.strings.join([" ", texts]), "UTF-8")
    folded = tf.gather(tables.lists(), tables.list_ids.find(codes.flat_values))
    row_splits = tf.gather(folded.row_splits, codes.row_splits)
    flat = _compute_characters(folded.flat_values, tf.gather(codes.flat_values, folded.value_rowids()))
    # 0 for what is no mark, else 1 + the canonical combining class.
    mark_classes = tables.mark_classes.find(flat)
    flat = _reorder_marks(_drop_marks_without_letter(flat, mark_classes), mark_classes)
    words = tf.strings.unicode_encode(tf.RaggedTensor.from_row_splits(flat, row_splits, validate=False), "UTF-8")
    return tf.strings.regex_replace(words, " +", " ")


def _compute_characters(folded: tf.Tensor, source: tf.Tensor) -> tf.Tensor:
    """Replaces `_ITSELF` and the parts of Hangul syllables, given the characters that were folded."""
    index = source - _SYLLABLES.start
    computed = {
        _ITSELF: source,
        _LEADING: 0x1100 + index // 588,
        _VOWEL: 0x1161 + index % 588 // 28,
        _TRAILING: 0x11A7 + index % 28,
    }
    for kind, characters in computed.items():
        folded = tf.where(folded == kind, characters, folded)
    return folded


def _drop_marks_without_letter(codes: tf.Tensor, mark_classes: tf.Tensor) -> tf.Tensor:
    """Makes spaces of the marks that follow one."""
    is_base = mark_classes == 0
    bases = tf.gather(tf.boolean_mask(codes, is_base), tf.cumsum(tf.cast(is_base, tf.int32)) - 1)
    return tf.where(bases == _SPACE, _SPACE, codes)


def _reorder_marks(codes: tf.Tensor, mark_classes: tf.Tensor) -> tf.Tensor:
    """Canonical order: each run of marks with a nonzero combining class by their classes."""
    starters = tf.cumsum(tf.cast(mark_classes <= 1, tf.int64))
    keys = starters * 256 + tf.cast(mark_classes, tf.int64)
    in_order = tf.reduce_all(keys[1:] >= keys[:-1])
    return tf.cond(in_order, lambda: codes, lambda: tf.gather(codes, tf.argsort(keys, stable=True)))


@dataclasses.dataclass(frozen=True)
class _Runs:
    """A value for each code point, as runs of equal ones."""

    starts: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "_Runs":
        starts = np.flatnonzero(np.diff(values, prepend=values[0] + 1)).astype(np.int32)
        return cls(starts, values[starts])

    def find(self, codes: tf.Tensor) -> tf.Tensor:
        run = tf.searchsorted(tf.constant(self.starts), codes, side="right") - 1
        return tf.cast(tf.gather(self.values, run), tf.int32)


@dataclasses.dataclass(frozen=True)
class _Tables:
    """What the graph knows of characters: about 100 KB.

    Attributes:
        list_ids: _Runs of uint16. Which of the lists a character becomes.
        characters: int32. The lists' code points, one list after the other.
        row_splits: int32. Where the lists begin and end.
        mark_classes: _Runs of uint8. 0 for what is no mark, else 1 + the canonical combining class.
    """

    list_ids: _Runs
    characters: np.ndarray
    row_splits: np.ndarray
    mark_classes: _Runs

    def lists(self) -> tf.RaggedTensor:
        return tf.RaggedTensor.from_row_splits(self.characters, self.row_splits, validate=False)


@functools.cache
def _tables() -> _Tables:
    lists: dict[tuple[int, ...], int] = {(_SPACE,): 0}
    list_ids = np.zeros(0x110000, np.uint16)
    mark_classes = np.zeros(0x110000, np.uint8)
    for code in itertools.chain(*_FOLDED_CODES):
        character = chr(code)
        list_ids[code] = lists.setdefault(_fold_to_list(character), len(lists))
        if is_mark(character):
            mark_classes[code] = 1 + unicodedata.combining(character)
    characters = np.array([code for codes in lists for code in codes], np.int32)
    row_splits = np.cumsum([0, *map(len, lists)], dtype=np.int32)
    return _Tables(_Runs.of(list_ids), characters, row_splits, _Runs.of(mark_classes))


def _fold_to_list(character: str) -> tuple[int, ...]:
    code, category = ord(character), unicodedata.category(character)
    if code in _SYLLABLES:
        return (_LEADING, _VOWEL, _TRAILING)[: len(unicodedata.normalize("NFD", character))]
    # What needs no folding, as most do not: a quarter of the time.
    if code >= _FIRST_IDEOGRAPH and category == "Lo" and not unicodedata.decomposition(character):
        return (_ITSELF,)
    if category == "Cn" and 0x10000 <= code < 0xE0000:
        return (_SPACE,)
    folded = unicodedata.normalize("NFD", fold_character(character)).replace("\n", " ")
    return (_ITSELF,) if folded == character else tuple(map(ord, folded))
