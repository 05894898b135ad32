"""The engine in the training loop: against the Keras path; steps, threads and resuming."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.config import Config
from devise_tf.model_dir import ModelDir
from devise_tf.models.skip_gram import SkipGram
from devise_tf.training import make_strategy, run_phase, train
from devise_tf.training.engine import engine_steps, skip_gram_engine
from devise_tf.training.engine.skip_gram_engine import BLOCKS, SkipGramEngine
from devise_tf.training.phases.skip_gram import skip_gram_phase
from tests.helpers import tiny_run
from tests.helpers.engine_oracle import random_tables
from tests.helpers.tiny_run import Interrupt, read_metrics
from tests.helpers.word2vec_oracle import make_blocks, topics_corpus, zipf_corpus


def every(blocks, rate=0.05, epoch=0):
    """The arguments of `train` for one pass over the corpus."""
    count = blocks.num_chunks
    return np.arange(count), np.full(count, epoch), np.full(count, rate)


def run_steps(directory, blocks, threads, dimension=6, epochs=1.5, callbacks=(), least_steps=None, **options):
    """Runs the phase; returns the model."""
    keras.utils.set_random_seed(0)
    model = SkipGram(blocks.counts, dimension)
    phase = skip_gram_phase(model, blocks, epochs, learning_rate=0.1, seed=4, threads=threads)
    if least_steps:
        phase.stepper.least_steps = least_steps
    options = {"log_every": 10**6} | options
    run_phase(phase, make_strategy(), ModelDir(str(directory)), verbose=0, callbacks=callbacks, **options)
    return model


@pytest.mark.parametrize(("dimension", "summed"), [(6, 4.0), (40, 1e9)])
def test_engine_equals_the_keras_path(tmp_path, dimension, summed):
    """Chunks of one block, one a step: the same steps. The two differ by rounding alone."""
    ids, counts = zipf_corpus(40, 1000)
    blocks = make_blocks(ids, counts, window=3, sample=0.02, block_size=5, chunk_size=5, summed_updates=summed)
    models = [run_steps(tmp_path / str(threads), blocks, threads, dimension) for threads in (None, 1)]
    assert np.abs(models[0].node_vectors()).max() > 0.1
    for name in ("vectors", "node_vectors"):
        expected = getattr(models[0], name)()
        np.testing.assert_allclose(getattr(models[1], name)(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    (keras_line,), (engine_line,) = (read_metrics(tmp_path / name) for name in ("None", "1"))
    assert engine_line | {"loss": 0} == keras_line | {"loss": 0}
    assert engine_line["loss"] == pytest.approx(keras_line["loss"], rel=1e-5)


def test_either_path_resumes_the_other(tmp_path):
    """A run begun where Numba is goes on where it is not, and the other way round."""
    ids, counts = zipf_corpus(40, 500)
    blocks = make_blocks(ids, counts, block_size=5, chunk_size=5)
    expected = run_steps(tmp_path / "whole", blocks, 1)
    for first, second in ((None, 1), (1, None)):
        directory = tmp_path / f"{first}"
        with pytest.raises(KeyboardInterrupt):
            options = {"log_every": 60, "checkpoint_seconds": 0.0, "callbacks": [Interrupt(1)]}
            run_steps(directory, blocks, first, least_steps=first, **options)
        model = run_steps(directory, blocks, second)
        np.testing.assert_allclose(model.vectors(), expected.vectors(), rtol=0, atol=1e-5)
        assert [line["step"] for line in read_metrics(directory)] == [60, 150]


# Steps, threads and resuming


def test_single_thread_repeats_and_resumes_exactly(tmp_path):
    ids, counts = zipf_corpus(60, 6000)
    blocks = make_blocks(ids, counts, sample=0.02, chunks_per_step=2, **BLOCKS)
    options = {"least_steps": 4, "log_every": 1, "checkpoint_seconds": 0.0}
    models = [run_steps(tmp_path / name, blocks, 1, epochs=3, **options) for name in ("first", "second")]
    for stop in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run_steps(tmp_path / "cut", blocks, 1, epochs=3, callbacks=[Interrupt(stop)], **options)
    models.append(run_steps(tmp_path / "cut", blocks, 1, epochs=3, **options))
    lines = read_metrics(tmp_path / "first")
    assert [line["step"] for line in lines] == [*range(4, 36, 4), 36]
    assert lines[-1]["loss"] < lines[0]["loss"]
    for model, name in zip(models[1:], ("second", "cut"), strict=True):
        assert read_metrics(tmp_path / name) == lines
        np.testing.assert_array_equal(model.vectors(), models[0].vectors())
        np.testing.assert_array_equal(model.node_vectors(), models[0].node_vectors())
    # How many steps are taken at once changes nothing but the metrics.
    model = run_steps(tmp_path / "at_once", blocks, 1, epochs=3)
    np.testing.assert_array_equal(model.vectors(), models[0].vectors())
    # A finished phase takes no step, and gives its model back.
    np.testing.assert_array_equal(run_steps(tmp_path / "cut", blocks, 1, epochs=3).vectors(), models[0].vectors())


def test_a_million_ids_are_trained_at_once(tmp_path):
    ids, counts = zipf_corpus(40, 500)
    blocks = make_blocks(ids, counts, chunks_per_step=3)
    phase = skip_gram_phase(SkipGram(counts, 4), blocks, 1.0, threads=1)
    assert phase.stepper.least_steps == 1334


def test_step_trains_its_chunks(monkeypatch):
    """The order's chunks with their passes, and each step's learning rate, whatever is taken at once."""
    ids, counts = zipf_corpus(40, 2500)
    blocks = make_blocks(ids, counts, chunks_per_step=4)
    model = SkipGram(counts, 4)
    phase = skip_gram_phase(model, blocks, 2.0, learning_rate=0.1, final_learning_rate=0.05, seed=3, threads=1)
    calls = []

    def record(engine, *arguments):
        calls.append(arguments)
        return {"nats": 6.0, "measured_pairs": 4.0}

    monkeypatch.setattr(SkipGramEngine, "train", record)
    phase.stepper.load()
    assert phase.stepper.take(0, 2) == {"loss": 1.5}
    phase.stepper.take(2, 5)
    chunks, epochs, rates = (np.concatenate([call[i] for call in calls]) for i in range(3))
    assert epochs.tolist() == [0] * 10 + [1] * 10
    assert sorted(chunks[:10]) == sorted(chunks[10:]) == list(range(10))
    np.testing.assert_allclose(rates, np.repeat([0.1, 0.09, 0.08, 0.07, 0.06], 4), rtol=1e-6)
    assert [call[3] for call in calls] == [1, 1]
    batches = list(phase.dataset(0, 5, None).as_numpy_iterator())
    expected = [blocks.batch(chunks[i : i + 4], epochs[i : i + 4], seed=3) for i in range(0, 20, 4)]
    for batch, right in zip(batches, expected, strict=True):
        np.testing.assert_array_equal(batch["contexts"], right["contexts"])


@pytest.mark.parametrize("threads", [1, 3])
def test_each_chunk_is_trained_once_by_any_thread(monkeypatch, threads):
    """With its own key and learning rate, whichever thread takes it, in pieces of about 10,000 ids."""
    ids, counts = zipf_corpus(40, 60_000)
    blocks = make_blocks(ids, counts)
    engine = SkipGramEngine(blocks, *random_tables(blocks, 4), threads=threads, seed=2)
    calls, lock = [], threading.Lock()

    def record(ids, starts, chunk_size, keys, rates, *rest):
        with lock:
            calls.append(list(zip(starts.tolist(), map(tuple, keys.tolist()), rates.tolist(), strict=True)))

    monkeypatch.setattr(skip_gram_engine, "train_chunks", record)
    chunks = np.random.default_rng(0).permutation(240)
    epochs, rates = np.arange(240) % 3, np.arange(240) / 256
    engine.train(chunks, epochs, rates)
    keys = [tuple(skip_gram_engine.draw_keys(2, epoch).tolist()) for epoch in range(3)]
    expected = sorted((250 * int(c), keys[e], float(r)) for c, e, r in zip(chunks, epochs, rates, strict=True))
    assert sorted(item for call in calls for item in call) == expected
    assert max(map(len, calls)) == 40


def test_several_threads_learn_as_well_as_one():
    """All threads write to the same few rows, the worst case for training without locks."""
    words = 6
    blocks = make_blocks(topics_corpus(5000), **BLOCKS)
    first = np.random.default_rng(0).uniform(-0.5, 0.5, (26, 16)).astype("float32") / 16
    losses = []
    for threads in (1, 4):
        engine = SkipGramEngine(blocks, first, np.zeros((25, 16), np.float32), threads=threads)
        sums = [engine.train(*every(blocks, 0.025, epoch), measured=1) for epoch in range(6)]
        losses.append([part["nats"] / part["measured_pairs"] for part in sums])
        vectors = engine.vectors()[2:] / np.linalg.norm(engine.vectors()[2:], axis=1, keepdims=True)
        similarity = vectors @ vectors.T - 2 * np.eye(len(vectors))
        nearest = np.argsort(-similarity, axis=1)[:, : words - 1]
        assert np.mean(nearest // words == (np.arange(len(vectors)) // words)[:, None]) > 0.95
    np.testing.assert_allclose(losses[1], losses[0], rtol=5e-3)
    assert losses[0][-1] < losses[0][0] - 0.015


@pytest.mark.parametrize("threads", [1, 2])
def test_huge_learning_rate_is_an_error_and_leaves_no_checkpoint(tmp_path, threads):
    ids, counts = zipf_corpus(40, 3000)
    blocks = make_blocks(ids, counts, **BLOCKS)
    model = SkipGram(counts, 6)
    phase = skip_gram_phase(model, blocks, 2.0, learning_rate=1e30, threads=threads)
    with pytest.raises(FloatingPointError, match="skip_gram: .*not finite.*none was written"):
        run_phase(phase, make_strategy(), ModelDir(str(tmp_path)), verbose=0)
    assert tf.train.latest_checkpoint(str(tmp_path / "skip_gram")) is None
    assert np.all(np.isfinite(model.vectors()))


def test_training_uses_the_engine(tmp_path, capsys, monkeypatch):
    made = []

    class Recorded(SkipGramEngine):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(engine_steps, "SkipGramEngine", Recorded)
    config = tiny_run.settings(tiny_run.make_inputs(tmp_path), tmp_path / "run", phase="skip_gram", skip_gram_threads=2)
    train(Config(**config), make_strategy())
    (engine,) = made
    assert engine.threads == 2 and engine.seed == 0 and engine.pairs > 10_000
    assert engine.blocks.block_size == BLOCKS["block_size"]
    assert "Keras operations" not in capsys.readouterr().out
