"""Quality of skip-gram vectors: this package against gensim, the same corpus, epochs and settings, several seeds.

  python -m tests.benchmarks.skip_gram_quality --corpus='text/*.xz' --work_dir=runs/quality --output=quality.json

Each run is a fresh process, and its measures are kept in `--work_dir`: the same command goes on where it was
interrupted. gensim trains from lists of words, as its `corpus_file` mode lets the learning rate fall too slowly with
several workers. It reads the text from its beginning to its end and lowers the learning rate by the share of the
sentences, ours reads pieces of it in random order and lowers it by the share of the words: on a text whose parts differ
in kind and in the length of their lines that is a difference of its own. `--shuffle` shows it: gensim on the same
lines in random order.

All measures are taken by the same code, from terms and vectors in the same order:
- WordSim-353 and SimLex-999: Spearman's correlation of cosines with people's judgments;
- Google's analogies: the share solved among the 30,000 most frequent terms, case-insensitive;
- nats: the mean negative log-likelihood of the hierarchical softmax on every hundredth sentence, which no training
  sees, over all pairs within the full reach of the window; less is better. Its tree is each trainer's own: they have
  the same mean path length.

gensim brings the word pairs and the analogies, and the code that scores them.
"""

import hashlib
import json
import os
import statistics
import sys

from absl import flags

from devise_tf import command
from tests.benchmarks import harness

# name, title, sign of better, form
MEASURES = (
    ("wordsim353", "WordSim-353", 1, ".3f"),
    ("simlex999", "SimLex-999", 1, ".3f"),
    ("analogies", "analogies", 1, ".3f"),
    ("nats", "nats a pair", -1, ".4f"),
)
_SHUFFLED = "gensim, shuffled"


def define_flags(define: command.Definitions) -> None:
    harness.define_shared_flags(define, ("devise_tf", "gensim"))
    define_corpus_flags(define, words=0)
    define.integer("dimension", 300, "Length of the vectors.", 1)
    define.integer("window", 10, "Largest reach of the window, to either side.", 1)
    define.integer("epochs", 3, "Passes over the text.", 1)
    define.list("seeds", ["1", "2", "3"], "Seeds; each trainer runs with each.")
    define.bool("shuffle", False, "Run gensim on the lines in random order, too.")


def define_corpus_flags(define: command.Definitions, words: int) -> None:
    """Defines the flags of `prepare_corpus`; `words` is the default of `--words`."""
    define.string("corpus", "", "Text: globs separated by commas (plain, .gz, .xz), or tfds:NAME.")
    define.integer("words", words, "Words of the text; 0 for all.", 0)
    define.integer("min_count", 5, "Least occurrences of a term in the corpus.", 1)


def prepare_corpus(options: flags.FlagValues) -> dict:
    """Prepares the corpus that the flags name, some of its sentences held out; see `tasks.prepare`."""
    preparing = {
        "pattern": options.corpus,
        "work_dir": options.work_dir,
        "words": options.words,
        "min_count": options.min_count,
        "hold_out": True,
    }
    corpus = harness.run_task("prepare", preparing)
    print(f"{corpus['words']:,} words, {corpus['terms']:,} terms", flush=True)
    return corpus


def run_once(trainer: str, settings: dict, work_dir: str) -> dict:
    """Trains and measures, or reads what an earlier run measured with the same settings."""
    key = hashlib.sha256(json.dumps([trainer, settings], sort_keys=True).encode()).hexdigest()[:12]
    path = os.path.join(work_dir, "quality", f"{trainer}-seed-{settings['seed']}-{key}.json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    result = {"trainer": trainer, "settings": settings, **harness.run_trainer(trainer, settings)}
    harness.write_json(path, result)
    return result


def verdict(ours: list[float], theirs: list[float], sign: int) -> str:
    """Whether ours are better, within the spread of the seeds, or worse.

    Args:
        ours: A measure, for each seed.
        theirs: The same of the other trainer.
        sign: 1 where more is better, else -1.
    """
    ours, theirs = ([sign * value for value in values] for values in (ours, theirs))
    if statistics.fmean(ours) >= statistics.fmean(theirs):
        return "equal or better"
    return "within the spread" if max(ours) >= min(theirs) else "worse"


def table(runs: dict[str, list[dict]]) -> str:
    """Means over the seeds, least and greatest, as Markdown."""
    trainers = list(runs)
    compared = [trainer for trainer in trainers if trainer != "gensim"] if "gensim" in trainers else []
    rows = []
    for name, title, sign, form in MEASURES:
        values = {trainer: [run[name] for run in result] for trainer, result in runs.items()}
        row = [title, *(harness.mean_spread(values[trainer], form) for trainer in trainers)]
        rows.append(row + [verdict(values[trainer], values["gensim"], sign) for trainer in compared])
    seconds = [harness.mean_spread([run["seconds"] for run in result], ".0f") for result in runs.values()]
    rows.append(["seconds of training", *seconds, *("" for _ in compared)])
    return harness.markdown_table(["", *trainers, *(f"{trainer} against gensim" for trainer in compared)], rows)


def main(_: list[str], options: flags.FlagValues) -> None:
    if not options.corpus:
        raise command.UsageError("`corpus` must name text. Received: corpus=''")
    if not all(seed.isdecimal() for seed in options.seeds) or not options.seeds:
        raise command.UsageError(f"`seeds` must be whole numbers. Received: seeds={options.seeds}")
    if not harness.is_installed("gensim"):
        raise command.UsageError("gensim brings the measures: `pip install gensim`. Received: no gensim")
    trainers = harness.chosen_trainers(options.trainers)
    if "fasttext" in trainers:
        raise command.UsageError(f"fastText keeps its tree to itself; leave it out. Received: trainers={trainers}")
    if "gensim" in trainers and options.shuffle:
        trainers.append(_SHUFFLED)
    harness.pin_cores(options.threads)
    corpus = prepare_corpus(options)
    runs: dict[str, list[dict]] = {trainer: [] for trainer in trainers}
    for seed in map(int, options.seeds):
        for trainer in trainers:
            settings = {
                "directory": corpus["directory"],
                "dimension": options.dimension,
                "window": options.window,
                "sample": options.sample,
                "epochs": options.epochs,
                "seed": seed,
                "threads": options.threads,
                "mode": "shuffled_lists" if trainer == _SHUFFLED else "lists",
                "evaluate": True,
            }
            result = run_once("gensim" if trainer == _SHUFFLED else trainer, settings, options.work_dir)
            runs[trainer].append(result)
            measures = ", ".join(f"{title} {result[name]:{form}}" for name, title, _, form in MEASURES)
            print(f"  {trainer}, seed {seed}: {measures}; {result['seconds']:.0f} s", flush=True)
            harness.write_json(options.output, {"machine": harness.machine(), "corpus": corpus, "runs": runs})
    one = runs[trainers[0]][0]
    print(
        f"\n{options.dimension}-D, window {options.window} a side, {options.epochs} epochs of {corpus['words']:,} "
        f"words, {corpus['terms']:,} terms, {len(options.seeds)} seeds; mean (least to greatest)\n\n{table(runs)}\n\n"
        f"Questions whose words are in the vocabulary: {one['wordsim353_coverage']:.0%} of WordSim-353, "
        f"{one['simlex999_coverage']:.0%} of SimLex-999, {one['analogies_coverage']:.0%} of the analogies; "
        f"{one['held_out_pairs']:,} pairs held out."
    )


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv)


if __name__ == "__main__":
    sys.exit(run())
