"""The engine against the formula and against the Keras path; threads, resuming, and machines that lack something."""

import os
import shutil
import signal
import subprocess
import sys
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
from devise_tf.training.engine.skip_gram_engine import BLOCKS, SkipGramEngine, available_cores
from devise_tf.training.phases.skip_gram import skip_gram_phase
from tests.helpers import tiny_run
from tests.helpers.engine_oracle import assert_engine_is_right, random_tables
from tests.helpers.tiny_run import Interrupt, read_metrics
from tests.helpers.word2vec_oracle import blocks_of_pairs, make_blocks, topics_corpus, zipf_corpus

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def every(blocks, rate=0.05, epoch=0):
    """The arguments of `train` for one pass over the corpus."""
    count = blocks.num_chunks
    return np.arange(count), np.full(count, epoch), np.full(count, rate)


# Against the formula


@pytest.mark.parametrize(
    ("dimension", "window", "block_size", "chunk_size", "summed", "sample"),
    [
        (1, 3, 4, 30, 1e9, 0),
        (6, 2, 5, 5, 4.0, 0.01),
        (16, 5, 1, 250, 1e9, 0.01),
        (16, 1, 4, 1, 32.0, 0),
        (40, 7, 4, 250, 20.0, 0),
        (100, 5, 4, 250, 32.0, 0.01),
        (128, 3, 16, 100, 10.0, 0.01),
        (300, 10, 4, 250, 16.0, 0.01),
        (20, 4, 300, 250, 6.0, 0),
    ],
)
def test_engine_equals_the_formula(dimension, window, block_size, chunk_size, summed, sample):
    assert_engine_is_right(
        dimension, window=window, block_size=block_size, chunk_size=chunk_size, summed_updates=summed, sample=sample
    )


def test_vocabulary_of_two_terms():
    assert_engine_is_right(5, size=2, length=80, rate=0.02, window=2, block_size=4, chunk_size=30, summed_updates=8.0)


def test_large_logits_saturate():
    """Logits of some hundreds, at which a sigmoid is 0 or 1 and an exponential leaves float32."""
    assert_engine_is_right(8, length=300, rate=0.02, scale=10.0, window=3, block_size=4, summed_updates=32.0)


def test_sentences_of_one_term_teach_nothing():
    ids = np.array([3, -1, 2, -1, 1, -1, 0, -1, -1, 3, -1])
    blocks = make_blocks(ids, np.array([4, 3, 2, 1]), chunk_size=3, block_size=2)
    tables = random_tables(blocks, 12)
    engine = SkipGramEngine(blocks, *tables, threads=1)
    assert engine.train(*every(blocks), measured=1) == {"nats": 0, "measured_pairs": 0}
    np.testing.assert_array_equal(engine.vectors(), tables[0])
    np.testing.assert_array_equal(engine.nodes(), tables[1])
    assert engine.pairs == engine.operations == engine.bytes == 0


def test_chunks_whose_terms_are_all_subsampled():
    """The frequent term is never kept: whole chunks are empty, one after the last sentence, too."""
    ids = np.concatenate([np.zeros(60, int), [1, 2, 3, -1], np.full(40, -1), [2, 1], np.zeros(50, int)])
    blocks = make_blocks(ids, np.array([10**15, 9, 8, 7]), sample=1e-14, window=2, chunk_size=10, block_size=2)
    engine = SkipGramEngine(blocks, *random_tables(blocks, 8), threads=1)
    engine.train(*every(blocks))
    expected = blocks_of_pairs(blocks, range(blocks.num_chunks), [0] * blocks.num_chunks)
    assert engine.pairs == sum(len(pairs) for _, _, pairs in expected) >= 6
    assert len(expected) == 3


def test_ids_may_be_mapped_from_a_file(tmp_path):
    ids, counts = zipf_corpus(40, 700)
    ids.tofile(tmp_path / "corpus.ids")
    found = []
    for source in (ids, np.memmap(tmp_path / "corpus.ids", np.int32, mode="r")):
        blocks = make_blocks(ids, counts)
        blocks.ids = source
        engine = SkipGramEngine(blocks, *random_tables(blocks, 8), threads=1)
        engine.train(*every(blocks))
        found.append(engine.vectors())
    np.testing.assert_array_equal(*found)


def test_initial_tables_are_copied():
    ids, counts = zipf_corpus(40, 700)
    blocks = make_blocks(ids, counts)
    tables = random_tables(blocks, 16)
    copies = [table.copy() for table in tables]
    SkipGramEngine(blocks, *tables, threads=1).train(*every(blocks))
    for table, copy in zip(tables, copies, strict=True):
        np.testing.assert_array_equal(table, copy)


def test_loss_is_measured_on_a_share_of_the_blocks():
    """At a learning rate of 0 the whole loss is known; one block in 16 is measured, and tells it nearly."""
    ids, counts = zipf_corpus(40, 60_000)
    blocks = make_blocks(ids, counts, **BLOCKS)
    engine = SkipGramEngine(blocks, *random_tables(blocks, 8), threads=1)
    whole = engine.train(*every(blocks, rate=0.0), measured=1)
    pairs = engine.pairs
    assert whole["measured_pairs"] == pairs
    part = engine.train(*every(blocks, rate=0.0), measured=16)
    assert engine.pairs == 2 * pairs
    # Some 900 of 15,000 blocks, of unequal sizes.
    assert part["measured_pairs"] / pairs == pytest.approx(1 / 16, rel=0.15)
    assert part["nats"] / part["measured_pairs"] == pytest.approx(whole["nats"] / pairs, rel=0.02)
    again = engine.train(*every(blocks, rate=0.0, epoch=1), measured=16)
    assert again["measured_pairs"] != part["measured_pairs"]


def test_work_is_counted():
    """One block of two centres, three contexts and, in a vocabulary of three, two nodes."""
    blocks = make_blocks([0, 1, 2], np.array([3, 2, 1]), window=1, block_size=3, chunk_size=3)
    engine = SkipGramEngine(blocks, *random_tables(blocks, 10), threads=1)
    engine.train(*every(blocks))
    assert (engine.pairs, engine.operations, engine.bytes) == (4, 6 * 2 * 3 * 10, 8 * (2 + 3) * 10)


def test_invalid_arguments_of_the_engine():
    blocks = make_blocks([0, 1, 2], np.array([3, 2, 1]))
    vectors, nodes = random_tables(blocks, 4)
    for bad in ((vectors[:2], nodes), (vectors, vectors), (vectors[:, :3], nodes), (vectors[0], nodes)):
        with pytest.raises(ValueError, match=r"`vectors` and `nodes` must be .* V = 3. Received: shapes \("):
            SkipGramEngine(blocks, *bad)
    with pytest.raises(ValueError, match="Received: threads=-1"):
        SkipGramEngine(blocks, vectors, nodes, threads=-1)
    assert SkipGramEngine(blocks, vectors, nodes).threads == available_cores() >= 1
    engine = SkipGramEngine(blocks, vectors, nodes, threads=1)
    for bad, error in (
        (([0], [0], [0.1, 0.1]), r"as long as each other. Received: shapes \(1,\), \(1,\) and \(2,\)"),
        (([0, 1], [0, 0], [0.1, 0.1]), r"in \[0, 1\). Received: minimum=0, maximum=1"),
        (([-1], [0], [0.1]), "Received: minimum=-1"),
        (([0], [0], [0.1], 0), "Received: measured=0"),
    ):
        with pytest.raises(ValueError, match=error):
            engine.train(*map(np.array, bad))
    np.testing.assert_array_equal(engine.vectors(), vectors)


# Against the Keras path


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


# Machines that lack something, in processes of their own


def python(code, *arguments, status=0, warnings="error", **variables):
    """Runs code in a process of its own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", warnings, "-c", code, *arguments],
        env=tiny_run.environment(**variables),
        capture_output=True,
        text=True,
        timeout=tiny_run.SECONDS,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


CHECK = "from tests.helpers.engine_oracle import assert_engine_is_right as check\n"


def test_import_compiles_nothing(tmp_path):
    code = (
        "import sys\n"
        "from devise_tf.training.engine import skip_gram_engine, skip_gram_kernels\n"
        "functions = [f for f in vars(skip_gram_kernels).values() if hasattr(f, 'signatures')]\n"
        "print(len(functions), [f.signatures for f in functions if f.signatures], 'tensorflow' in sys.modules)"
    )
    assert python(code, NUMBA_CACHE_DIR=str(tmp_path)).split(maxsplit=1)[1] == "[] False\n"
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == []


def test_without_numba_training_uses_keras_and_says_so(tmp_path):
    """The command says so in one line and trains with Keras operations; Numba is asked for in phase 1 only."""
    inputs = tiny_run.make_inputs(tmp_path)
    code = (
        "import runpy, sys\n"
        "import devise_tf.models, devise_tf.training.run\n"
        "print('imported', 'numba' in sys.modules)\n"
        "sys.modules['numba'] = None\n"
        "runpy.run_module('devise_tf.train', run_name='__main__', alter_sys=True)\n"
    )
    flags = {"corpus": inputs["corpus"], "model_dir": tmp_path / "run", "phase": "skip_gram", "dimension": 8}
    flags |= {"window": 3, "min_count": 2, "sample": 0, "verbose": 0, "log_every": 3}
    output = python(code, *(f"--{name}={value}" for name, value in flags.items()), warnings="default")
    lines = [line for line in output.splitlines() if "umba" in line]
    assert lines == [
        "Training with Keras operations, which is slower: Numba cannot be used here "
        "(import of numba halted; None in sys.modules)."
    ]
    assert "imported False" in output
    assert os.path.exists(tmp_path / "run" / "vectors.bin")
    # The steps of the Keras path: none is put together with others.
    assert [line["step"] for line in read_metrics(tmp_path / "run")][:2] == [3, 6]


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


def copy_of_the_package(directory):
    """A copy of the package without compiled files, with a folder for those that cannot be made: a file is there."""
    shutil.copy(os.path.join(ROOT, "setup.py"), directory)  # tells a checkout from an installed package
    for name in ("devise_tf", "models", "tests"):
        shutil.copytree(os.path.join(ROOT, name), directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "devise_tf" / "training" / "engine" / "__pycache__").write_text("")


@pytest.mark.slow
@pytest.mark.parametrize("home", ["writable", "read-only"])
def test_read_only_package_caches_elsewhere_or_not_at_all(tmp_path, home):
    """Compiled code goes to the user's cache folder; where that cannot be written either, it is not kept."""
    copy_of_the_package(tmp_path)
    folder = tmp_path / "home"
    folder.mkdir() if home == "writable" else folder.write_text("")
    variables = {"PYTHONPATH": str(tmp_path), "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    python(f"import os\nos.chdir({str(tmp_path)!r})\n{CHECK}check(16)", **variables)
    kept = [name for _, _, names in os.walk(folder) for name in names if name.endswith(".nbc")]
    assert bool(kept) == (home == "writable")


@pytest.mark.soak
@pytest.mark.parametrize("when", ["before", "after"])
def test_kills_while_compiling_leave_a_usable_cache(tmp_path, when):
    """Killed at the first files that each process writes; the next one takes what is whole, and the last is right."""
    code = (
        "import os, signal, sys\n"
        "replace, left = os.replace, int(sys.argv[1])\n"
        "def kill(*args):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if left == 0 and sys.argv[2] == 'before':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    replace(*args)\n"
        "    if left == 0:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.replace = kill\n"
        f"{CHECK}check(16)\nprint('right')"
    )
    for count in (1, 2, 5, 4):
        python(code, str(count), when, status=-signal.SIGKILL, NUMBA_CACHE_DIR=str(tmp_path))
    assert python(code, "-1", when, NUMBA_CACHE_DIR=str(tmp_path)) == "right\n"
    # And from what was kept alone.
    assert python(code, "1", "before", NUMBA_CACHE_DIR=str(tmp_path)) == "right\n"


def test_engine_is_right_without_avx_512(tmp_path):
    """Code for a CPU without AVX-512."""
    code = (
        "from devise_tf.training.engine import matrix_tiles\n"
        f"print(matrix_tiles.LANES)\n{CHECK}"
        "for dimension in (6, 16, 24, 100):\n"
        "    check(dimension, window=4, block_size=4, summed_updates=16.0)"
    )
    features = "+avx,+avx2,+fma,+sse3,+ssse3,+sse4.1,+sse4.2,+bmi,+bmi2"
    variables = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    assert python(code, **variables) == "8\n"
