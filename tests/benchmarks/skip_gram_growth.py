"""How the cost of skip-gram training grows with vocabulary, dimension and corpus; its share of the machine's limits.

  python -m tests.benchmarks.skip_gram_growth --output=growth.json
  python -m tests.benchmarks.skip_gram_growth --trainers=devise_tf,gensim --axes=vocabulary

The text is random, by Zipf's law, with every term of the vocabulary in it; so vocabularies of any size can be had, and
speed does not depend on what the words mean. Along each axis the other two figures stay as the flags say. Each run is a
fresh process; what is timed is said in `skip_gram_speed`.

The machine's limits are measured in the same way, a thread on each core: a large float32 product (GFLOP/s), and a copy
of long arrays (GB/s, bytes read and bytes written together). The share of the first that training reaches is given
where the engine counts its floating-point operations, the share of the second where it counts its bytes.
"""

import statistics
import sys

from absl import flags

from devise_tf import command
from tests.benchmarks import harness

AXES = ("vocabulary", "dimension", "words")
_MEGABYTE = 1 << 20


def define_flags(define: command.Definitions) -> None:
    harness.define_shared_flags(define, ("devise_tf",))
    define.list("axes", list(AXES), f"What to vary, out of {', '.join(AXES)}.")
    define.list("vocabularies", ["10000", "100000", "1000000"], "Terms, along the axis vocabulary.")
    define.list("dimensions", ["100", "200", "300", "400", "500"], "Lengths, along the axis dimension.")
    define.list("corpora", ["2000000", "4000000", "8000000", "16000000"], "Words, along the axis words.")
    define.integer("vocabulary", 30_000, "Terms, along the other axes.", 100)
    define.integer("dimension", 100, "Length of the vectors, along the other axes.", 1)
    define.integer("words", 4_000_000, "Words, along the other axes.", 1000)
    define.integer("window", 5, "Largest reach of the window, to either side.", 1)
    define.integer("repeats", 3, "Runs of each.", 1)
    define.integer("gemm_size", 4096, "Side of the matrices of the large product.", 16)
    define.integer("copy_megabytes", 256, "Length of the arrays copied.", 1)


def points(axis: str, options: flags.FlagValues) -> list[dict]:
    """The settings to measure along an axis."""
    given = {"vocabulary": options.vocabularies, "dimension": options.dimensions, "words": options.corpora}
    if axis not in given:
        raise command.UsageError(f"`axes` must be out of {AXES}. Received: {axis!r}")
    if not given[axis] or not all(value.isdecimal() for value in given[axis]):
        raise command.UsageError(f"An axis must be whole numbers. Received: {axis}={given[axis]}")
    fixed = {name: getattr(options, name) for name in AXES}
    return [{**fixed, axis: int(value)} for value in given[axis]]


def measure(point: dict, trainers: list[str], options: flags.FlagValues) -> dict:
    """Measures one setting; gives the runs of each trainer."""
    preparing = {"work_dir": options.work_dir, "terms": point["vocabulary"], "words": point["words"]}
    directory = harness.run_task("prepare_zipf", preparing)["directory"]
    runs: dict[str, list[dict]] = {trainer: [] for trainer in trainers}
    for repeat in range(options.repeats):
        for trainer in trainers:
            settings = {
                "directory": directory,
                "dimension": point["dimension"],
                "window": options.window,
                "sample": options.sample,
                "epochs": 1,
                "seed": repeat,
                "threads": options.threads,
                "mode": "corpus_file",
            }
            result = harness.run_trainer(trainer, settings)
            runs[trainer].append(result)
            print(
                f"  {point['vocabulary']:,} terms, {point['dimension']}-D, {point['words']:,} words: "
                f"{trainer} {result['words_per_second']:,.0f} words/s",
                flush=True,
            )
    return {**point, "runs": runs}


def share_of(result: list[dict], name: str, limit: float) -> str:
    """The share of a limit that runs reach by what they count under `name`; empty where they do not."""
    rates = [run["stats"][name] / run["seconds"] / 1e9 for run in result if name in run.get("stats", {})]
    return f"{statistics.median(rates) / limit:.0%}" if rates else ""


def table(axis: str, measured: list[dict], trainers: list[str], limits: dict) -> str:
    """The measurements along an axis as Markdown."""
    header = [axis]
    for trainer in trainers:
        header += [f"{trainer}, words/s", "peak memory, MiB"]
        header += ["share of GEMM", "share of copy"] if trainer == "devise_tf" else []
    both = {"devise_tf", "gensim"} <= set(trainers)
    rows = []
    for point in measured:
        row = [f"{point[axis]:,}"]
        for trainer in trainers:
            result = point["runs"][trainer]
            row.append(harness.spread([run["words_per_second"] for run in result], ",.0f"))
            row.append(f"{statistics.median(run['peak_bytes'] for run in result) / _MEGABYTE:,.0f}")
            if trainer == "devise_tf":
                row.append(share_of(result, "flops", limits["gemm_gflops"]))
                row.append(share_of(result, "bytes", limits["copy_gbytes"]))
        if both:
            pairs = zip(point["runs"]["devise_tf"], point["runs"]["gensim"], strict=True)
            row.append(harness.spread([a["words_per_second"] / b["words_per_second"] for a, b in pairs], ".2f"))
        rows.append(row)
    return harness.markdown_table([*header, *(["times gensim"] if both else [])], rows)


def main(_: list[str], options: flags.FlagValues) -> None:
    plan = {axis: points(axis, options) for axis in options.axes}
    trainers = harness.chosen_trainers(options.trainers)
    harness.pin_cores(options.threads)
    limits = harness.run_task(
        "machine_limits",
        {"threads": options.threads, "size": options.gemm_size, "copy_bytes": options.copy_megabytes * _MEGABYTE},
        harness.ONE_BLAS_THREAD,
    )
    print(
        f"Limits of {options.threads} threads: GEMM {limits['gemm_gflops']:,.0f} GFLOP/s, "
        f"copy {limits['copy_gbytes']:,.1f} GB/s",
        flush=True,
    )
    results: dict[str, list[dict]] = {axis: [] for axis in plan}
    known: dict[tuple, dict] = {}  # the axes cross where their fixed values are
    for axis, settings in plan.items():
        for point in settings:
            key = tuple(point.values())
            known[key] = known.get(key) or measure(point, trainers, options)
            results[axis].append(known[key])
            harness.write_json(options.output, {"machine": harness.machine(), "limits": limits, "results": results})
    for axis, measured in results.items():
        fixed = {
            "vocabulary": f"{options.vocabulary:,} terms",
            "dimension": f"{options.dimension}-D",
            "words": f"{options.words:,} words",
        }
        others = ", ".join(text for name, text in fixed.items() if name != axis)
        print(f"\nGrowth with {axis}; {others}, window {options.window} a side, {options.threads} threads\n")
        print(table(axis, measured, trainers, limits))


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv)


if __name__ == "__main__":
    sys.exit(run())
