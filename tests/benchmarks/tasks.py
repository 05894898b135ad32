"""What runs in the fresh processes: `python -m tests.benchmarks.tasks TASK SETTINGS RESULT`, started by `harness`."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

from devise_tf.labels.label_set import LabelSet
from devise_tf.text import HuffmanTree
from tests.benchmarks import corpora, trainers

_CHUNKS_A_STEP = 8


def prepare(settings: dict) -> dict:
    """Prepares a corpus of text."""
    prepared = corpora.prepare(**settings)
    return {"directory": prepared.directory, "words": prepared.words, "terms": prepared.terms}


def prepare_zipf(settings: dict) -> dict:
    """Prepares random text."""
    return {"directory": corpora.prepare_zipf(**settings).directory}


def tokenize(settings: dict) -> dict:
    """Writes the whole corpus as words."""
    path, words, lines = corpora.tokenized_text(**settings)
    return {"path": path, "words": words, "lines": lines}


def text_stage(settings: dict) -> dict:
    """Times, on one core, `stage`: phrases (one pass), count or encode, which takes the vocabulary that count leaves in
    `directory`; gives `words_per_second` and the number of `terms`.
    """
    from devise_tf.text import Corpus, Vocabulary, encode_corpus, find_phrases
    from tests.benchmarks import harness

    harness.pin_cores(1)
    corpus, stage, label_terms = Corpus(settings["pattern"]), settings["stage"], []
    if settings["labels"]:
        label_terms = [term for terms in LabelSet.load(settings["labels"]).normalized_terms() for term in terms]
    path, ids = (os.path.join(settings["directory"], name) for name in ("vocabulary.txt", "corpus.ids"))
    result = Vocabulary.load(path) if stage == "encode" else []
    started = time.perf_counter()
    if stage == "phrases":
        result = find_phrases(corpus, label_terms, passes=1)
    elif stage == "count":
        result = Vocabulary.build(corpus, min_count=settings["min_count"], label_terms=label_terms)
        result.save(path)
    else:
        encode_corpus(corpus, result, ids)
    return {"words_per_second": settings["words"] / (time.perf_counter() - started), "terms": len(result)}


def windows(settings: dict) -> dict:
    """Times, on one core, subsampling and windows: within the engine, and as arrays for the Keras path."""
    from devise_tf.text import SkipGramBlocks
    from tests.benchmarks import harness

    harness.pin_cores(1)
    prepared = corpora.Prepared.open(settings["directory"])
    engine = trainers.train_devise_tf({**settings, "dimension": 1, "threads": 1})["words_per_second"]
    counts = prepared.vocabulary().counts
    tree = HuffmanTree.from_counts(counts)
    blocks = SkipGramBlocks(prepared.ids(), counts, tree, settings["window"], settings["sample"])
    order = np.random.default_rng(0).permutation(blocks.num_chunks)[:2000]
    started = time.perf_counter()
    for chunks in np.array_split(order, -(-len(order) // _CHUNKS_A_STEP)):
        blocks.batch(chunks, np.zeros(len(chunks), int))
    seconds = time.perf_counter() - started
    words = sum(np.count_nonzero(blocks.ids[c * blocks.chunk_size :][: blocks.chunk_size] >= 0) for c in order)
    return {"words_per_second": {"engine": engine, "keras": words / seconds}}


def machine_limits(settings: dict) -> dict:
    """What the machine can do at most, a thread on each core: GFLOP/s of a large float32 product, and GB/s of a copy,
    bytes read and bytes written together."""
    threads, size = settings["threads"], settings["size"]
    ones = [[np.ones((size, size), np.float32) for _ in range(3)] for _ in range(threads)]
    # As many bytes as lie far outside any cache; ones, because pages of zeros that nobody wrote are all the same page.
    long = [[np.ones(settings["copy_bytes"] // 4, np.float32) for _ in range(2)] for _ in range(threads)]
    gemm = _best_seconds([lambda a=a: np.dot(a[0], a[1], out=a[2]) for a in ones])
    copy = _best_seconds([lambda a=a: np.copyto(a[0], a[1]) for a in long])
    return {
        "gemm_gflops": threads * 2 * size**3 / gemm / 1e9,
        "copy_gbytes": threads * 2 * settings["copy_bytes"] / copy / 1e9,
    }


def _best_seconds(works: list[Callable[[], object]], repeats: int = 5) -> float:
    """The least time of the works done once each, at the same time; the first repeat warms up."""
    best = float("inf")
    for repeat in range(repeats + 1):
        threads = [threading.Thread(target=work) for work in works]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if repeat:
            best = min(best, time.perf_counter() - started)
    return best


TASKS = {
    "prepare": prepare,
    "prepare_zipf": prepare_zipf,
    "tokenize": tokenize,
    "text_stage": text_stage,
    "windows": windows,
    "devise_tf": trainers.train_devise_tf,
    "keras": trainers.train_keras,
    "gensim": trainers.train_gensim,
    "fasttext": trainers.train_fasttext,
    "gensim_whole_run": trainers.gensim_whole_run,
    "machine_limits": machine_limits,
}


def main() -> None:
    task, settings, path = sys.argv[1:]
    result = TASKS[task](json.loads(settings))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
