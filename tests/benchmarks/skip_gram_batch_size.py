"""How large a step of the Keras path may be: quality against the number of chunks that a step sums.

  python -m tests.benchmarks.skip_gram_batch_size --corpus='text/*.xz' --words=2000000 --output=batch_size.json

An accelerator wants large steps, and a step that sums many updates to one vector must not explode. Each run trains on
`--devices` logical CPU devices under `tf.distribute.MirroredStrategy`; the last row is the CPU's engine, whose steps
are single blocks. The measures are those of `skip_gram_quality`.
"""

import sys

from absl import flags

from devise_tf import command
from devise_tf.text.skip_gram_blocks import CHUNK
from tests.benchmarks import harness, skip_gram_quality
from tests.benchmarks.skip_gram_quality import MEASURES, prepare_corpus, run_once


def define_flags(define: command.Definitions) -> None:
    harness.define_shared_flags(define, ("keras", "devise_tf"))
    skip_gram_quality.define_corpus_flags(define, words=2_000_000)
    define.integer("dimension", 100, "Length of the vectors.", 1)
    define.integer("window", 5, "Largest reach of the window, to either side.", 1)
    define.integer("epochs", 1, "Passes over the text.", 1)
    define.integer("seed", 1, "Seed.", 0)
    define.integer("devices", 2, "Logical CPU devices.", 1)
    define.list("batch_sizes", ["2", "8", "32", "128", "512"], f"Chunks of {CHUNK} words a step.")


def main(_: list[str], options: flags.FlagValues) -> None:
    if not options.corpus:
        raise command.UsageError("`corpus` must name text. Received: corpus=''")
    trainers = harness.chosen_trainers(options.trainers)
    harness.pin_cores(options.threads)
    corpus = prepare_corpus(options)
    settings = {name: options[name].value for name in ("dimension", "window", "sample", "epochs", "seed", "threads")}
    settings |= {"directory": corpus["directory"], "evaluate": True}
    sizes = [{"batch_size": int(size), "devices": options.devices} for size in options.batch_sizes]
    runs = [("keras", size) for size in sizes if "keras" in trainers]
    runs += [("devise_tf", {})] if "devise_tf" in trainers else []
    rows, results = [], []
    for trainer, size in runs:
        result = run_once(trainer, settings | size, options.work_dir)
        results.append(result)
        name = f"{size['batch_size']} ({size['batch_size'] * CHUNK:,} words)" if size else "engine"
        values = [format(result[measure], form) for measure, _, _, form in MEASURES]
        rows.append([name, *values, f"{result['words_per_second'] / 1000:,.0f}"])
        print("  " + ", ".join(rows[-1]), flush=True)
        harness.write_json(options.output, {"machine": harness.machine(), "corpus": corpus, "runs": results})
    print("\n" + harness.markdown_table(["chunks a step", *(title for _, title, *_ in MEASURES), "k words/s"], rows))


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv)


if __name__ == "__main__":
    sys.exit(run())
