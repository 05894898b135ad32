"""`TermIndex` inside a graph: the names in the text of requests, to rows of vectors."""

import unicodedata
from collections.abc import Callable, Collection
from typing import NamedTuple

import tensorflow as tf

from devise_tf.export.text_graph import fold_text
from devise_tf.text.earlier_tokenizer import UNNORMALIZED_WORDS
from devise_tf.text.term_index import (
    ARTICLES,
    BRACKETS,
    MAX_PART_WORDS,
    ONE_WORD,
    PLURALS,
    PROMPT,
    TermIndex,
    folded_key,
)
from devise_tf.text.tokenizer import WORDS, Tokenizer

# Of one request, over all its rows: it bounds what finding its labels takes.
MAX_REQUEST_WORDS = 65_536
# White space of all kinds, for RE2.
_WHITE_SPACE = r"[\s\x0b\x1c-\x1f\x{85}\p{Z}]+"


class FoundTerms(NamedTuple):
    """T terms of L texts, and what each was found as; P parts of terms that were not found whole.

    Attributes:
        texts: int64 [T]. The text that each term is of.
        rows: int32 [T]. The row of a term that was found whole; else -1.
        count: int32 [T]. How many words a term has.
        known: int32 [T]. How many of them are known: all where the term was found whole or composed.
        part_terms: int64 [P]. The term that each part is of, in order.
        part_rows: int32 [P]. The row of each part.
    """

    texts: tf.Tensor
    rows: tf.Tensor
    count: tf.Tensor
    known: tf.Tensor
    part_terms: tf.Tensor
    part_rows: tf.Tensor


class TermGraph:
    """Finds terms as `TermIndex.find` does.

    Args:
        table: tf.lookup.StaticHashTable. From the keys of `term_keys` to their places.
        key_rows: tf.Variable. int32 [K]. The row that each key stands for.
        tokenizer: Tokenizer. The rule by which text becomes words.
    """

    def __init__(self, table: tf.lookup.StaticHashTable, key_rows: tf.Variable, tokenizer: Tokenizer):
        self._table, self._key_rows = table, key_rows
        # Functions, so that the graph of several signatures has them once.
        texts = [tf.TensorSpec([None], tf.string)]
        self._fold = tf.function(graph_fold(tokenizer), texts, autograph=False)
        self._find_function = tf.function(self._find, texts, autograph=False)
        self._finds_parts = tokenizer.finds_parts

    def find(self, texts: tf.Tensor) -> FoundTerms:
        """Finds the terms of texts, string [L]; commas separate the terms of a text."""
        return self._find_function(texts)

    def is_known_composition(self, found: FoundTerms) -> tf.Tensor:
        """Whether each term is composed of the rows of one of the compositions in `term_keys`, bool [T]."""
        num_terms = tf.size(found.rows, tf.int64)
        rows = tf.RaggedTensor.from_value_rowids(tf.strings.as_string(found.part_rows), found.part_terms, num_terms)
        return self._table.lookup(tf.strings.reduce_join(rows, axis=1, separator=" ")) >= 0

    def _find(self, texts: tf.Tensor) -> FoundTerms:
        terms = tf.strings.split(texts, ",")
        term_texts = terms.value_rowids()
        folded = self._fold(terms.flat_values)
        words = tf.strings.split(folded)
        with tf.control_dependencies(
            [
                at_most(tf.size(term_texts), MAX_REQUEST_WORDS, "terms in its labels"),
                at_most(tf.size(words.flat_values), MAX_REQUEST_WORDS, "words in its labels"),
            ]
        ):
            terms, folded = tf.identity(terms.flat_values), tf.identity(folded)
        count = tf.cast(words.row_lengths(), tf.int32)
        rows = self._rows(_joined(folded))
        if self._finds_parts:
            spelled = self._rows(_joined(tf.strings.strip(tf.strings.regex_replace(terms, _WHITE_SPACE, " "))))
            rows = tf.where(spelled >= 0, spelled, rows)
        rows = tf.where(count > 0, rows, -1)
        # Most terms are whole: what the others need is not made for all.
        others = tf.where((rows < 0) & (count > 0))[:, 0]
        covered, complete, part_terms, part_rows = tf.cond(
            tf.size(others) > 0,
            lambda: self._parts(tf.gather(terms, others), tf.gather(folded, others)),
            lambda: tuple(tf.zeros([0], dtype) for dtype in (tf.int32, tf.bool, tf.int64, tf.int32)),
        )
        # A single part is the whole term.
        num_parts = tf.math.unsorted_segment_sum(tf.ones_like(part_rows), part_terms, tf.size(others))
        last = tf.math.unsorted_segment_max(part_rows, part_terms, tf.size(others))
        complete &= num_parts > 0
        single = complete & (num_parts == 1)
        counts = tf.gather(count, others)
        known = tf.tensor_scatter_nd_update(
            tf.where(rows >= 0, count, 0), others[:, None], tf.where(complete, counts, tf.minimum(covered, counts - 1))
        )
        rows = tf.tensor_scatter_nd_update(rows, others[:, None], tf.where(single, last, -1))
        kept = tf.where(tf.gather(complete & ~single, part_terms))[:, 0]
        parts = tf.gather(others, tf.gather(part_terms, kept)), tf.gather(part_rows, kept)
        return FoundTerms(term_texts, rows, count, known, *parts)

    def _rows(self, keys: tf.Tensor) -> tf.Tensor:
        places = self._table.lookup(keys)
        return tf.where(places >= 0, tf.gather(self._key_rows, tf.maximum(places, 0)), -1)

    def _parts(self, terms: tf.Tensor, folded: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The longest known parts of terms: how many words they cover [S], whether all [S], terms [P] and rows [P]."""
        words = tf.strings.split(self._core(terms, folded) if self._finds_parts else folded)
        ends = tf.gather(words.row_splits[1:], words.value_rowids())
        lengths, rows = self._longest(words.flat_values, ends)
        position, stop = words.row_splits[:-1], words.row_splits[1:]
        begins = tf.zeros_like(lengths)
        last = tf.maximum(tf.size(lengths, tf.int64) - 1, 0)

        def step(position: tf.Tensor, begins: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            inside = position < stop
            at = tf.minimum(position, last)
            length = tf.gather(lengths, at)
            found = tf.cast(inside & (length > 0), tf.int32)
            begins = tf.tensor_scatter_nd_max(begins, at[:, None], found)
            return tf.where(inside, position + tf.cast(tf.maximum(length, 1), tf.int64), position), begins

        _, begins = tf.while_loop(lambda position, _: tf.reduce_any(position < stop), step, (position, begins))
        covered = tf.math.unsorted_segment_sum(begins * lengths, words.value_rowids(), words.nrows())
        places = tf.where((begins > 0) & (rows >= 0))[:, 0]
        complete = covered == tf.cast(words.row_lengths(), tf.int32)
        return covered, complete, tf.gather(words.value_rowids(), places), tf.gather(rows, places)

    def _core(self, terms: tf.Tensor, folded: tf.Tensor) -> tf.Tensor:
        """Terms without brackets and prompts, folded; see `core_words`."""
        core = self._fold(tf.strings.regex_replace(terms, *BRACKETS))
        core = tf.where(core == "", folded, core)
        bare = tf.strings.regex_replace(tf.strings.join(["_", _joined(core), "_"]), *PROMPT)
        bare = tf.strings.strip(tf.strings.regex_replace(bare, "_", " "))
        return tf.where(bare == "", core, bare)

    def _longest(self, words: tf.Tensor, ends: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of the longest known part that begins with each word how many words it has and its row; 0 and -1 of none.

        An article, which is passed over, has the length 1 and the row -1.
        """
        places = tf.range(tf.size(words, tf.int64))
        parts = [words]
        for length in range(2, MAX_PART_WORDS + 1 if self._finds_parts else 2):
            following = tf.gather(words, tf.minimum(places + length - 1, tf.size(words, tf.int64) - 1))
            parts.append(tf.strings.join([parts[-1], following], "_"))
        keys = tf.stack(parts)  # [length, word]
        rows = self._rows(keys)
        if self._finds_parts:
            for form in (keys, tf.strings.regex_replace(keys, *ONE_WORD)):
                for name in (form, *(tf.strings.regex_replace(form, *plural) for plural in PLURALS)):
                    rows = tf.where(rows >= 0, rows, self._rows(name))
        sizes = tf.range(1, len(parts) + 1)[:, None]
        is_known = (rows >= 0) & (places + tf.cast(sizes, tf.int64) <= ends)
        lengths = tf.reduce_max(tf.where(is_known, sizes, 0), axis=0)
        longest = tf.gather(tf.transpose(rows), tf.maximum(lengths - 1, 0), batch_dims=1)
        rows = tf.where(lengths > 0, longest, -1)
        if self._finds_parts:
            # Unless all words of a term are articles.
            is_article = tf.strings.regex_full_match(words, "|".join(ARTICLES))
            others = tf.math.unsorted_segment_max(tf.cast(~is_article, tf.int32), ends, tf.size(words, tf.int64) + 1)
            passed = is_article & (lengths < 2) & (tf.gather(others, ends) > 0)
            lengths, rows = tf.where(passed, 1, lengths), tf.where(passed, -1, rows)
        return lengths, rows


def term_keys(index: TermIndex, compositions: Collection[tuple[int, ...]] = ()) -> tuple[list[str], list[int]]:
    """All that a graph finds terms by, and the row of each: terms as they are spelled, then folded as graphs fold.

    Behind them, with the row -1, stand compositions that it is to know again, as their rows with spaces between them,
    which no key has.
    """
    rows = dict(index.rows)
    if index.tokenizer.finds_parts:
        for key in (*map(folded_key, index.rows), *index.folded_rows):
            row = index.row(key)
            if key and row is not None:
                rows.setdefault(_key_form(key, index.tokenizer), row)
    composed = [" ".join(map(str, parts)) for parts in sorted(compositions) if len(parts) > 1]
    return [*rows, *composed], [*rows.values(), *[-1] * len(composed)]


def graph_fold(tokenizer: Tokenizer) -> Callable[[tf.Tensor], tf.Tensor]:
    """What gives the words of texts, string [L], with single spaces between them, string [L]; see `_key_form`."""
    if tokenizer is WORDS:
        return fold_text
    if tokenizer is UNNORMALIZED_WORDS:
        return _unnormalized_words
    return lambda texts: tf.strings.reduce_join(tokenizer.words(texts), axis=1, separator=" ")  # type: ignore[attr-defined]


def _key_form(key: str, tokenizer: Tokenizer) -> str:
    # `fold_text` decomposes, since graphs have no operation that composes; TensorFlow Text has one.
    return unicodedata.normalize("NFD", key) if tokenizer is WORDS else key


def _unnormalized_words(texts: tf.Tensor) -> tf.Tensor:
    # A string may hold NUL, at which the lower case would end.
    texts = tf.strings.regex_replace(texts, r"\x00", " ")
    # ASCII first: the server's language must not make "I" a Turkish one.
    texts = tf.strings.lower(tf.strings.lower(texts), encoding="utf-8")
    return tf.strings.strip(tf.strings.regex_replace(texts, r"[^\p{L}\p{N}]+", " "))


def _joined(texts: tf.Tensor) -> tf.Tensor:
    return tf.strings.regex_replace(texts, " ", "_")


def at_most(count: tf.Tensor, limit: int, what: str) -> tf.Operation:
    """Refuses a request that holds too much of something."""
    return tf.raw_ops.Assert(
        condition=count <= limit, data=[f"a request may have at most {limit} {what}. Received:", count]
    )
