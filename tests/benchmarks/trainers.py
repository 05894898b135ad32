"""Trainers of skip-grams, each a task of `tests.benchmarks.tasks`.

Their settings are `directory` (of a `corpora.Prepared`), `dimension`, `window`, `sample`, `epochs`, `seed`, `threads`,
for gensim its `mode`, and `evaluate`. Results hold `seconds` (of training alone), `words_per_second` (words of the text
before subsampling, over all epochs), `setup_seconds` (what a trainer does before: see each of them) and, with
`evaluate`, the measures of quality.
"""

import os
import random
import re
import sys
import tempfile
import time

import numpy as np

from devise_tf.text import HuffmanTree
from tests.benchmarks import corpora
from tests.benchmarks.held_out import evaluate

# As in word2vec, gensim and `python -m devise_tf.train`; fastText takes the first only and goes to 0.
_LEARNING_RATE, _FINAL_LEARNING_RATE = 0.025, 1e-4
_WARM_UP_TERMS = 50


def train_devise_tf(settings: dict) -> dict:
    """The engine for the CPU. Not timed, but `setup_seconds`: a run over a few words, which compiles it, and the copies
    of the tables.
    """
    prepared = corpora.Prepared.open(settings["directory"])
    vocabulary = prepared.vocabulary()
    started = time.perf_counter()
    tiny = np.tile(np.append(np.arange(_WARM_UP_TERMS, dtype=np.int32), np.int32(-1)), 20)
    warm_up = _engine_steps(settings | {"epochs": 1}, tiny, np.full(_WARM_UP_TERMS, 20))
    warm_up.stepper.load()
    warm_up.stepper.take(0, 1)
    phase = _engine_steps(settings, prepared.ids(), vocabulary.counts)
    phase.stepper.load()
    setup = time.perf_counter() - started
    started = time.perf_counter()
    for step in range(0, phase.steps, phase.stepper.least_steps):
        logs = phase.stepper.take(step, min(step + phase.stepper.least_steps, phase.steps))
    seconds = time.perf_counter() - started
    engine = phase.stepper.engine
    result = _timed(settings, prepared.words, seconds, setup)
    result["stats"] = {
        "last_loss": logs["loss"],
        "pairs": engine.pairs,
        "flops": engine.operations,
        "bytes": engine.bytes,
    }
    if settings.get("evaluate"):
        tree = HuffmanTree.from_counts(vocabulary.counts)
        result |= evaluate(prepared, engine.vectors(), engine.nodes(), *_paths(tree))
    return result


def _engine_steps(settings: dict, ids: np.ndarray, counts: np.ndarray):
    """The skip-gram phase of `python -m devise_tf.train` on a CPU."""
    import keras

    from devise_tf.models.skip_gram import SkipGram
    from devise_tf.text import SkipGramBlocks
    from devise_tf.training.engine.skip_gram_engine import BLOCKS
    from devise_tf.training.phases.skip_gram import skip_gram_phase

    keras.utils.set_random_seed(settings["seed"])
    tree = HuffmanTree.from_counts(counts)
    blocks = SkipGramBlocks(ids, counts, tree, settings["window"], settings["sample"], chunks_per_step=2, **BLOCKS)
    rates = _LEARNING_RATE, _FINAL_LEARNING_RATE
    model = SkipGram(counts, settings["dimension"])
    return skip_gram_phase(model, blocks, settings["epochs"], *rates, settings["seed"], settings["threads"])


def train_keras(settings: dict) -> dict:
    """The Keras path. Timed from its first to its last but one reading of the loss, out of about 20: the graph is
    traced before (`setup_seconds`) and the checkpoint is written behind. `share`, 1 if not given, is the part of an
    epoch that it trains; `batch_size` the chunks of a step, over all of `devices` logical devices.
    """
    import keras
    import tensorflow as tf

    from devise_tf.model_dir import ModelDir
    from devise_tf.models.skip_gram import SkipGram
    from devise_tf.text import SkipGramBlocks
    from devise_tf.training.loop import run_phase
    from devise_tf.training.phases.skip_gram import skip_gram_phase
    from devise_tf.training.strategy import make_strategy

    devices = settings.get("devices", 1)
    tf.config.threading.set_intra_op_parallelism_threads(settings["threads"] // devices)
    if devices > 1:
        one = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(one, [tf.config.LogicalDeviceConfiguration()] * devices)
    strategy = make_strategy("mirrored" if devices > 1 else "default")
    prepared = corpora.Prepared.open(settings["directory"])
    vocabulary = prepared.vocabulary()
    tree = HuffmanTree.from_counts(vocabulary.counts)
    keras.utils.set_random_seed(settings["seed"])
    batch_size = settings.get("batch_size", 2)
    blocks = SkipGramBlocks(
        prepared.ids(), vocabulary.counts, tree, settings["window"], settings["sample"], chunks_per_step=batch_size
    )
    epochs = settings["epochs"] * settings.get("share", 1)
    with strategy.scope():
        model = SkipGram(vocabulary.counts, settings["dimension"])
        phase = skip_gram_phase(model, blocks, epochs, _LEARNING_RATE, _FINAL_LEARNING_RATE, settings["seed"])
    readings = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            readings.append(time.perf_counter())

    log_every = max(1, phase.steps // 20)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        run_phase(
            phase,
            strategy,
            ModelDir(directory),
            log_every=log_every,
            checkpoint_seconds=float("inf"),
            callbacks=[Clock()],
            verbose=0,
        )
    if len(readings) < 3:
        raise ValueError(f"The corpus is too short for the Keras path. Received: {phase.steps} steps")
    timed = (len(readings) - 2) * log_every / phase.steps
    seconds = (readings[-2] - readings[0]) / timed  # of all steps, at the rate of those timed
    result = _timed({"epochs": epochs}, prepared.words, seconds, readings[0] - started)
    if settings.get("evaluate"):
        nodes = keras.ops.convert_to_numpy(model.hierarchical_softmax.nodes)
        result |= evaluate(prepared, model.vectors(), nodes, *_paths(tree))
    return result


def train_gensim(settings: dict) -> dict:
    """gensim. Timed is `train()`; `setup_seconds` is its vocabulary, its tree and, in mode `lists`, reading the text.

    Modes: `corpus_file` reads the text within its threads; `lists` trains from lists of words in memory and
    `line_sentence` from the file, both through one Python thread that hands out jobs of 10,000 words, which is the
    most that gensim takes. `shuffled_lists` are the same lines in random order.
    """
    from gensim.models.word2vec import LineSentence, Word2Vec

    prepared = corpora.Prepared.open(settings["directory"])
    path, mode = prepared.path("text.txt"), settings["mode"]
    started = time.perf_counter()
    if mode == "corpus_file":
        corpus = {"corpus_file": path}
    elif mode in ("lists", "shuffled_lists"):
        corpus = {"corpus_iterable": list(LineSentence(path))}
        if mode == "shuffled_lists":
            random.Random(settings["seed"]).shuffle(corpus["corpus_iterable"])
    else:
        corpus = {"corpus_iterable": LineSentence(path)}
    model = Word2Vec(**_gensim_arguments(settings), min_count=1)
    model.build_vocab(**corpus)
    setup = time.perf_counter() - started
    started = time.perf_counter()
    _, words = model.train(
        **corpus, total_examples=model.corpus_count, total_words=model.corpus_total_words, epochs=settings["epochs"]
    )
    seconds = time.perf_counter() - started
    result = _timed(settings, prepared.words, seconds, setup)
    # In mode `corpus_file` each thread goes a batch of words beyond its part of the text.
    result["words_per_second"] = words / seconds
    if settings.get("evaluate"):
        order = [model.wv.key_to_index[term] for term in prepared.vocabulary().terms]
        points, codes = ([model.wv.get_vecattr(i, name) for i in order] for name in ("point", "code"))
        result |= evaluate(prepared, model.wv.vectors[order], model.syn1, points, codes)
    return result


def gensim_whole_run(settings: dict) -> dict:
    """gensim from a file of words to a file of vectors."""
    from gensim.models.word2vec import Word2Vec

    model = Word2Vec(
        corpus_file=settings["path"],
        min_count=settings["min_count"],
        epochs=settings["epochs"],
        **_gensim_arguments(settings),
    )
    model.wv.save_word2vec_format(settings["output"], binary=True)
    return {"terms": len(model.wv)}


def _gensim_arguments(settings: dict) -> dict:
    return {
        "sg": 1,
        "hs": 1,
        "negative": 0,
        "vector_size": settings["dimension"],
        "window": settings["window"],
        "sample": settings["sample"],
        "alpha": _LEARNING_RATE,
        "min_alpha": _FINAL_LEARNING_RATE,
        "seed": settings["seed"],
        "workers": settings["threads"],
    }


def train_fasttext(settings: dict) -> dict:
    """fastText without subwords. It reads the text within its training threads, after a pass for the vocabulary, which
    is `setup_seconds`. Its own final report gives the words a second of the training alone, to which a line's end
    counts as a word; it is taken off here.
    """
    import fasttext

    prepared = corpora.Prepared.open(settings["directory"])
    with tempfile.TemporaryFile() as file:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        started = time.perf_counter()
        try:
            fasttext.train_unsupervised(
                prepared.path("text.txt"),
                model="skipgram",
                loss="hs",
                dim=settings["dimension"],
                ws=settings["window"],
                t=settings["sample"],
                epoch=settings["epochs"],
                thread=settings["threads"],
                lr=_LEARNING_RATE,
                minCount=1,
                minn=0,
                maxn=0,
                bucket=0,
                verbose=2,
            )
        finally:
            total = time.perf_counter() - started
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        rates = re.findall(rb"words/sec/thread:\s*(\d+)", file.read())
    if not rates:
        raise ValueError("fastText printed no rate; it must be version 0.9 or later.")
    share = prepared.words / (prepared.words + prepared.sentences)
    seconds = settings["epochs"] * prepared.words / (int(rates[-1]) * settings["threads"] * share)
    return _timed(settings, prepared.words, seconds, total - seconds)


def _timed(settings: dict, words: int, seconds: float, setup: float) -> dict:
    return {
        "words": words,
        "seconds": seconds,
        "words_per_second": settings["epochs"] * words / seconds,
        "setup_seconds": setup,
    }


def _paths(tree: HuffmanTree) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return tuple(
        [row[:length] for row, length in zip(rows, tree.lengths, strict=True)] for rows in (tree.nodes, tree.codes)
    )
