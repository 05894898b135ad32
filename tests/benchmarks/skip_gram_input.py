"""Whether skip-gram training ever waits for its text: words a second of each stage on one core, beside training's.

  python -m tests.benchmarks.skip_gram_input --corpus='text/*.xz' --output=input.json

**Stages**, each on one core, raw words of the text a second:
- phrases: one pass that looks for collocations (`--phrases` of the command line takes as many passes as it says);
- count: reading, decompressing, tokenizing, and counting the vocabulary;
- encode: the same, but for the term ids, which are written to a file and mapped from then on;
- windows: subsampling, windows and Huffman paths inside the engine, told by training vectors of one dimension, so that
  it is an upper bound of the time;
- blocks: the same as arrays, for the Keras path.

Phrases, count and encode come once, each in a process of its own, whose peak memory is given; windows or blocks come in
every epoch. Training is the engine's on `--threads` cores, the fastest of three runs over `--words` words. The ratios
are the rates of windows, of count, encode and windows one after the other, and of these and a pass for phrases, over
training's.
"""

import sys
import tempfile

from absl import flags

from devise_tf import command
from tests.benchmarks import harness
from tests.benchmarks.skip_gram_speed import parse_configuration

_ONCE = ("phrases", "count", "encode")
_MEGABYTE = 1 << 20


def define_flags(define: command.Definitions) -> None:
    harness.define_shared_flags(define, ("devise_tf",))
    define.string("corpus", "", "Text: globs separated by commas (plain, .gz, .xz), or tfds:NAME.")
    define.string("labels_file", "", "File of labels whose terms are kept whole.")
    define.list("configurations", ["100x5", "500x10"], "DIMENSIONxWINDOW, window a side.")
    define.integer("words", 4_000_000, "Words that are trained on; 0 for all.", 0)
    define.integer("min_count", 5, "Least occurrences of a term in the corpus.", 1)


def together(rates: list[float]) -> float:
    """The rate of stages that follow each other."""
    return 1 / sum(1 / rate for rate in rates)


def main(_: list[str], options: flags.FlagValues) -> None:
    if not options.corpus:
        raise command.UsageError("`corpus` must name text. Received: corpus=''")
    configurations = [parse_configuration(configuration) for configuration in options.configurations]
    common = {"pattern": options.corpus, "work_dir": options.work_dir}
    whole = harness.run_task("tokenize", common)
    stages = {}
    with tempfile.TemporaryDirectory(dir=options.work_dir) as directory:
        settings = {**common, "labels": options.labels_file, "min_count": options.min_count, "words": whole["words"]}
        for stage in _ONCE:
            stages[stage] = harness.run_task("text_stage", {**settings, "stage": stage, "directory": directory})
    print(f"{whole['words']:,} words, {stages['encode']['terms']:,} terms", flush=True)
    harness.pin_cores(options.threads)
    settings = {**common, "min_count": options.min_count, "words": options.words}
    corpus = harness.run_task("prepare", settings)
    rows = [
        [name, f"{stage['words_per_second'] / 1000:,.0f}", f"{stage['peak_bytes'] / _MEGABYTE:,.0f}", "", "", ""]
        for name, stage in stages.items()
    ]
    results = []
    for dimension, window in configurations:
        settings = {
            "window": window,
            "sample": options.sample,
            "epochs": 1,
            "seed": 1,
            "directory": corpus["directory"],
        }
        windows = harness.run_task("windows", settings)["words_per_second"]
        runs = [
            harness.run_trainer("devise_tf", {**settings, "dimension": dimension, "threads": options.threads})
            for _ in range(3)
        ]
        training = max(run["words_per_second"] for run in runs)
        phrases, *once = (stages[name]["words_per_second"] for name in _ONCE)
        once.append(windows["engine"])
        results.append({"dimension": dimension, "window": window, "windows": windows, "training": runs})
        rows.append([f"windows, {window} a side", f"{windows['engine'] / 1000:,.0f}", "", "", "", ""])
        rows.append([f"blocks, {window} a side", f"{windows['keras'] / 1000:,.0f}", "", "", "", ""])
        ratios = [windows["engine"], together(once), together([*once, phrases])]
        rows.append(
            [
                f"training, {dimension}-D, window {window}",
                f"{training / 1000:,.0f}",
                "",
                *(f"{rate / training:.1f}" for rate in ratios),
            ]
        )
        value = {"machine": harness.machine(), "words": whole["words"], "stages": stages, "configurations": results}
        harness.write_json(options.output, value)
    header = ["", "k words/s", "peak memory, MiB", "windows / training", "all / training", "with a pass for phrases"]
    print(
        f"\n{options.threads} threads train, one core does each other stage\n\n{harness.markdown_table(header, rows)}"
    )


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv)


if __name__ == "__main__":
    sys.exit(run())
