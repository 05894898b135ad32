"""What the pipelines do with the ranges: count their terms, keep those that are needed, encode."""

import collections
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable

import numpy as np

from devise_tf.text.beam.beam_files import create_file, open_file
from devise_tf.text.beam.range_reader import RangeReader
from devise_tf.text.beam.sdk import Shared, beam
from devise_tf.text.term_matcher import TermMatcher
from devise_tf.text.tokenizer import Tokenizer
from devise_tf.text.vocabulary import Vocabulary
from devise_tf.text.word_index import END

# Different terms that a worker collects before it hands their counts on, and ids before it writes them.
_MAX_COUNTS = 1_000_000
_BUFFER_IDS = 1 << 20


class GuaranteedTerms:
    """The terms that the vocabulary holds however rare they are: those of labels, and phrases that are none of them."""

    def __init__(self, labels: list[str], phrases: list[str]):
        self.lists = labels, phrases
        self._all = frozenset(labels + phrases)
        self._matchers = TermMatcher(labels), TermMatcher(phrases)

    @classmethod
    def of(cls, labels: Iterable[str], phrases: Iterable[str], tokenizer: Tokenizer) -> "GuaranteedTerms":
        """Those of labels and phrases in any spelling."""
        label_terms, others = (set(map(tokenizer.normalize_term, terms)) for terms in (labels, phrases))
        return cls(sorted(label_terms), sorted(phrase for phrase in others - label_terms if "_" in phrase))

    @classmethod
    def load(cls, path: str) -> "GuaranteedTerms":
        """Those that a file of JSON holds."""
        with open_file(path) as handle:
            return cls(*json.loads(handle.read()))

    def __contains__(self, term: str) -> bool:
        return term in self._all

    def join(self, words: list[str]) -> list[str]:
        """Words to terms; phrases only where label terms leave words alone."""
        labels, phrases = self._matchers
        return phrases(labels(words))


class CountTerms(beam.DoFn):
    """Range -> `(term, count)`, where a term may come several times, and a report of the range."""

    def __init__(self, terms: str, tokenizer: Tokenizer):
        self._terms, self._tokenizer, self._shared = terms, tokenizer, Shared()

    def setup(self) -> None:
        self._guaranteed = self._shared.acquire(lambda: GuaranteedTerms.load(self._terms), tag=self._terms)

    def process(self, piece):
        counts: collections.Counter[str] = collections.Counter()
        reader = RangeReader(piece, self._tokenizer)
        for words in reader:
            counts.update(self._guaranteed.join(words))
            if len(counts) >= _MAX_COUNTS:
                yield from counts.items()
                counts.clear()
        yield from counts.items()
        yield beam.pvalue.TaggedOutput("reports", json.dumps(reader.report))


class KeepTerms(beam.DoFn):
    """`(term, count)` -> a line of text for each term that the vocabulary may hold."""

    def __init__(self, terms: str, min_count: int):
        self._terms, self._min_count, self._shared = terms, min_count, Shared()

    def setup(self) -> None:
        self._guaranteed = self._shared.acquire(lambda: GuaranteedTerms.load(self._terms), tag=self._terms)

    def process(self, item):
        term, count = item
        if count >= self._min_count or term in self._guaranteed:
            yield f"{term}\t{count}"


class EncodeRange(beam.DoFn):
    """Range -> a report of it, and a file of its ids.

    A runner may try a range again, or twice at once: each time writes another file, and the report names it.
    """

    def __init__(self, vocabulary: str, target: str, tokenizer: Tokenizer):
        self._path, self._target, self._tokenizer, self._shared = vocabulary, target, tokenizer, Shared()

    def setup(self) -> None:
        self._encoder = self._shared.acquire(lambda: _Encoder(self._path), tag=self._path)

    def process(self, piece):
        get_id, join = self._encoder.get_id, self._encoder.join
        reader = RangeReader(piece, self._tokenizer)
        shard = f"{self._target}-{piece[0]}-{piece[2]}-{uuid.uuid4().hex}"
        num_ids = num_sentences = 0
        buffer: list[int] = []
        with create_file(shard) as handle:
            for words in reader:
                ids = [i for i in map(get_id, join(words)) if i is not None]
                if ids:
                    num_ids += len(ids)
                    num_sentences += 1
                    buffer += ids
                    buffer.append(END)
                    if len(buffer) >= _BUFFER_IDS:
                        handle.write(np.array(buffer, "<i4").tobytes())
                        buffer.clear()
            handle.write(np.array(buffer, "<i4").tobytes())
        yield json.dumps({**reader.report, "ids": num_ids, "sentences": num_sentences, "shard": shard})


class _Encoder:
    """What a worker process needs to encode, once for all its threads."""

    def __init__(self, path: str):
        with tempfile.TemporaryDirectory() as folder:
            local = os.path.join(folder, "vocabulary")
            with open_file(path) as source, open(local, "wb") as handle:
                shutil.copyfileobj(source, handle, 1 << 20)
            vocabulary = Vocabulary.load(local)
        self.get_id = vocabulary.index.get
        labels = [term for term in vocabulary.terms if "_" in term and term not in vocabulary.phrases]
        self.join = GuaranteedTerms(labels, list(vocabulary.phrases)).join
