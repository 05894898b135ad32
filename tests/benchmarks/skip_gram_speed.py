"""Words a second of skip-gram training: this package, gensim, fastText and the Keras path, side by side.

  python -m tests.benchmarks.skip_gram_speed --corpus='text/*.xz' --output=speed.json
  python -m tests.benchmarks.skip_gram_speed --corpus='text/*.xz' --configurations=500x20 --pairs=3
  python -m tests.benchmarks.skip_gram_speed --corpus='text/*.xz' --whole_run --configurations=100x5

**What is compared.** Skip-gram with hierarchical softmax alone, one epoch, the same tokens, vocabulary, subsampling,
window, dimension and threads for all. Each run is a fresh process, held to as many cores as there are threads; a pair
is a run of ours and one of gensim's, one straight behind the other, and which is first alternates. The ratio is taken
within each pair. Words are those of the text before subsampling.

**What is timed.** Training with the corpus encoded on each side's terms.
- devise_tf: the engine over term ids in a memory-mapped file. A run of a few words before it, in the same process,
  compiles or loads it; that time is "before".
- gensim: `train()`, its vocabulary built before, BLAS held to a thread a worker. Of its ways to read (a file of its
  own form, lists of words in memory, lines of a file) each is tried once on a shorter text and the fastest is taken.
- fasttext: it reads and encodes while it trains. Its own final rate is taken, which leaves out the vocabulary pass.
- keras: random stretches of the text, `--keras_words` of it, from its first to its last but one reading of the loss,
  so without tracing and checkpoints. Its rate grows with `--keras_batch_size`; `skip_gram_batch_size` measures at what
  cost.

**How long.** `--words=0` measures each trainer on a short text first, and takes so many words that the fastest runs
for `--seconds`, as far as the corpus goes.

**--whole_run** compares first runs, start of the process to the vectors' file. Ours is `python -m devise_tf.train
--phase=skip_gram` on the raw text with an empty model directory and nothing compiled: it decompresses, tokenizes,
counts, encodes, compiles, trains, saves a checkpoint and the vectors. gensim's is given the text tokenized already, and
counts, trains (mode corpus_file) and saves the vectors.
"""

import math
import os
import statistics
import sys
import tempfile

from absl import flags

from devise_tf import command
from devise_tf.text.skip_gram_blocks import CHUNK
from tests.benchmarks import harness

_SLOW = ("fasttext", "keras")
_MEGABYTE = 1 << 20


def define_flags(define: command.Definitions) -> None:
    harness.define_shared_flags(define, ("devise_tf", "gensim", "fasttext", "keras"))
    define.string("corpus", "", "Text: globs separated by commas (plain, .gz, .xz), or tfds:NAME.")
    define.list("configurations", ["100x5", "500x10", "500x20"], "DIMENSIONxWINDOW, window a side.")
    define.integer("pairs", 5, "Paired runs of a configuration.", 1)
    define.integer("slow_pairs", 2, "In how many of them fasttext and keras run too.", 0)
    define.integer("words", 0, "Words of the text; 0: enough for --seconds.", 0)
    define.float("seconds", 22, "With --words=0: what the fastest run is to take.", 0)
    define.integer("trial_words", 1_000_000, "Words of the runs before, which choose gensim's mode.", 1000)
    define.integer("keras_words", 1_500_000, "Words after which keras stops: its rate is the same by then.", 1)
    define.integer("keras_batch_size", 2, f"Chunks of {CHUNK} words that a step of keras sums.", 1)
    define.enum("gensim_mode", "fastest", ["fastest", *harness.GENSIM_MODES], "How gensim takes its corpus.")
    define.integer("min_count", 5, "Least occurrences of a term in the corpus.", 1)
    define.bool("whole_run", False, "Compare first runs, from text to vectors.")


def parse_configuration(text: str) -> tuple[int, int]:
    """`"500x20"` -> dimension 500, window 20."""
    dimension, _, window = text.partition("x")
    if not (dimension.isdecimal() and window.isdecimal() and int(dimension) and int(window)):
        raise command.UsageError(f"A configuration must be DIMENSIONxWINDOW. Received: {text!r}")
    return int(dimension), int(window)


def measure(configuration: str, trainers: list[str], options: flags.FlagValues) -> dict:
    """Measures one configuration."""
    dimension, window = parse_configuration(configuration)
    common = {
        "dimension": dimension,
        "window": window,
        "sample": options.sample,
        "epochs": 1,
        "seed": 1,
        "threads": options.threads,
    }
    mode, words, trials = options.gensim_mode, options.words, {}
    if "gensim" in trainers and mode == "fastest" or not words:
        directory = _prepare(options, min(options.trial_words, words or options.trial_words))["directory"]
        for trainer in trainers:
            # The slow ones never decide the length.
            modes = harness.GENSIM_MODES if trainer == "gensim" and mode == "fastest" else (mode,)
            for each in modes if trainer not in _SLOW else ():
                result = harness.run_trainer(trainer, {**common, "directory": directory, "mode": each})
                name = f"gensim {each}" if trainer == "gensim" else trainer
                trials[name] = result["words_per_second"]
                print(f"  trial: {name} {result['words_per_second']:,.0f} words/s", flush=True)
        by_mode = {each: trials[f"gensim {each}"] for each in harness.GENSIM_MODES if f"gensim {each}" in trials}
        mode = max(by_mode, key=by_mode.get) if by_mode else mode
        # A short run is slower than a long one: a fifth more words than it asks for.
        words = words or math.ceil(1.2 * options.seconds * max(trials.values(), default=options.trial_words))
    corpus = _prepare(options, words)
    print(f"{configuration}: {corpus['words']:,} words, {corpus['terms']:,} terms, gensim's mode: {mode}", flush=True)
    runs: dict[str, list[dict | None]] = {trainer: [] for trainer in trainers}
    for pair in range(options.pairs):
        for trainer in in_order(trainers, pair):
            if trainer in _SLOW and pair >= options.slow_pairs:
                runs[trainer].append(None)
                continue
            settings = {**common, "directory": corpus["directory"], "mode": mode, "seed": pair + 1}
            settings["share"] = min(1.0, options.keras_words / corpus["words"])
            settings["batch_size"] = options.keras_batch_size
            result = harness.run_trainer(trainer, settings)
            runs[trainer].append(result)
            print(
                f"  pair {pair + 1}: {trainer} {result['words_per_second']:,.0f} words/s, {result['seconds']:.1f} s, "
                f"{result['peak_bytes'] / _MEGABYTE:,.0f} MiB",
                flush=True,
            )
    return {"configuration": configuration, "corpus": corpus, "gensim_mode": mode, "trials": trials, "runs": runs}


def in_order(trainers: list[str], pair: int) -> list[str]:
    """The trainers of a pair in order of their runs: the slow ones last, the others turned round in every other."""
    fast = [trainer for trainer in trainers if trainer not in _SLOW]
    return fast[:: -1 if pair % 2 else 1] + [trainer for trainer in trainers if trainer in _SLOW]


def ratios(runs: dict[str, list], trainer: str, other: str, name: str = "words_per_second") -> list[float]:
    """What `trainer` reached, as a multiple of what `other` did in the same pair."""
    both = zip(runs.get(trainer, []), runs.get(other, []), strict=False)
    return [a[name] / b[name] for a, b in both if a and b]


def table(measured: dict) -> str:
    """The measurements of a configuration as Markdown."""
    runs = measured["runs"]
    others = [name for name in ("gensim", "fasttext") if any(runs.get(name, []))]
    rows = []
    for trainer, result in runs.items():
        result = [run for run in result if run]
        if not result:
            continue
        row = [trainer, str(len(result)), harness.spread([run["words_per_second"] for run in result], ",.0f")]
        row += [harness.spread(ratios(runs, trainer, other), ".2f") if other != trainer else "1" for other in others]
        row.append(f"{min(run['seconds'] for run in result):.1f}")
        row.append(f"{statistics.median(run['setup_seconds'] for run in result):.1f}")
        row.append(f"{statistics.median(run['peak_bytes'] for run in result) / _MEGABYTE:,.0f}")
        rows.append(row)
    header = ["", "runs", "words/s", *(f"times {other}" for other in others)]
    return harness.markdown_table([*header, "shortest run, s", "before, s", "peak memory, MiB"], rows)


def measure_whole_run(configuration: str, trainers: list[str], options: flags.FlagValues) -> dict:
    """Measures first runs, from text to vectors."""
    dimension, window = parse_configuration(configuration)
    corpus = harness.run_task("tokenize", {"pattern": options.corpus, "work_dir": options.work_dir})
    print(f"{configuration}, whole runs: {corpus['words']:,} words", flush=True)
    settings = {
        "path": corpus["path"],
        "dimension": dimension,
        "window": window,
        "sample": options.sample,
        "epochs": 1,
        "threads": options.threads,
        "min_count": options.min_count,
    }
    trainers = [trainer for trainer in trainers if trainer not in _SLOW]
    runs: dict[str, list[dict]] = {trainer: [] for trainer in trainers}
    for pair in range(options.pairs):
        for trainer in in_order(trainers, pair):
            with tempfile.TemporaryDirectory(dir=options.work_dir) as directory:
                if trainer == "gensim":
                    output = os.path.join(directory, "vectors.bin")
                    result = harness.run_trainer("gensim_whole_run", {**settings, "seed": pair, "output": output})
                else:
                    result = _train_command(settings, options.corpus, pair, directory)
            result["words_per_second"] = corpus["words"] / result["wall_seconds"]
            runs[trainer].append(result)
            print(
                f"  pair {pair + 1}: {trainer} {result['wall_seconds']:.1f} s, "
                f"{result['peak_bytes'] / _MEGABYTE:,.0f} MiB",
                flush=True,
            )
    return {"configuration": configuration, "whole_run": True, "corpus": corpus, "runs": runs}


def _train_command(settings: dict, corpus: str, seed: int, directory: str) -> dict:
    # What a run before left compiled must not help this one.
    caches = {name: os.path.join(directory, "cache") for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    command = [
        *(sys.executable, "-m", "devise_tf.train", "--phase=skip_gram", "--verbose=0", "--skip_gram_epochs=1"),
        *(f"--{name}={settings[name]}" for name in ("dimension", "window", "sample", "min_count")),
        *(f"--corpus={corpus}", f"--seed={seed}", f"--model_dir={os.path.join(directory, 'model')}"),
    ]
    result = harness.run_process(command, caches)
    if not os.path.exists(os.path.join(directory, "model", "vectors.bin")):
        raise harness.TaskError(f"The run wrote no vectors:\n{result['output']}")
    return {"wall_seconds": result["wall_seconds"], "peak_bytes": result["peak_bytes"]}


def whole_run_table(measured: dict) -> str:
    """The measurements of whole runs as Markdown."""
    runs, rows = measured["runs"], []
    for trainer, result in runs.items():
        row = [trainer, str(len(result)), harness.spread([run["wall_seconds"] for run in result], ".1f")]
        if runs.get("gensim"):
            row.append(harness.spread(ratios(runs, trainer, "gensim"), ".2f"))
        rows.append([*row, f"{statistics.median(run['peak_bytes'] for run in result) / _MEGABYTE:,.0f}"])
    header = ["", "runs", "whole run, s", *(["times as fast as gensim"] if runs.get("gensim") else [])]
    return harness.markdown_table([*header, "peak memory, MiB"], rows)


def _prepare(options: flags.FlagValues, words: int) -> dict:
    settings = {
        "pattern": options.corpus,
        "work_dir": options.work_dir,
        "words": words,
        "min_count": options.min_count,
    }
    return harness.run_task("prepare", settings)


def main(_: list[str], options: flags.FlagValues) -> None:
    if not options.corpus:
        raise command.UsageError("`corpus` must name text. Received: corpus=''")
    for configuration in options.configurations:
        parse_configuration(configuration)
    trainers = harness.chosen_trainers(options.trainers)
    if options.whole_run and not set(trainers) - set(_SLOW):
        raise command.UsageError(f"`whole_run` compares devise_tf and gensim only. Received: trainers={trainers}")
    cores = harness.pin_cores(options.threads)
    if cores < options.threads:
        print(f"Only {cores} cores for {options.threads} threads.", flush=True)
    os.makedirs(options.work_dir, exist_ok=True)
    results = []
    for configuration in options.configurations:
        if options.whole_run:
            results.append(measure_whole_run(configuration, trainers, options))
        else:
            results.append(measure(configuration, trainers, options))
        # After each configuration: what is measured is kept if the next fails.
        harness.write_json(options.output, {"machine": harness.machine(), "results": results})
    for measured in results:
        corpus = measured["corpus"]
        dimension, window = parse_configuration(measured["configuration"])
        print(f"\n{dimension}-D, window {window} a side, {options.threads} threads, {corpus['words']:,} words", end="")
        if measured.get("whole_run"):
            print(f", whole first runs\n\n{whole_run_table(measured)}")
        else:
            print(f", {corpus['terms']:,} terms, gensim's mode: {measured['gensim_mode']}\n\n{table(measured)}")


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv)


if __name__ == "__main__":
    sys.exit(run())
