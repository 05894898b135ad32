"""Asks term vectors, measures them, converts them, and shows those of labels.

  python -m devise_tf.vectors COMMAND … [flags]

The vectors: --vectors=FILE (word2vec text or binary, GloVe, fastText's .vec and .bin, .npz; all but .npz may be
compressed by gzip, bzip2 or xz, or lie in a .zip or .tar: --vectors=ARCHIVE!FILE names one of several there), or
--model_dir=DIR of a run, or --vectors=NAME of vectors that come with the package, which is also the default. Terms are
taken in any spelling; several words of one term go in quotes, and are composed where the term has no vector of its own.

  nearest TERM…        python -m devise_tf.vectors nearest "snow leopard" tiger --k=5
  similarity A B       python -m devise_tf.vectors similarity cat dog
  analogy A B C        A is to B as C is to what:
                       python -m devise_tf.vectors analogy man king woman
  evaluate             WordSim-353, SimLex-999 and the Google analogies, in a table and a file:
                       python -m devise_tf.vectors evaluate --vectors=vectors.bin --output=metrics.json
  coverage             how many labels have a vector, one composed from words, or none:
                       python -m devise_tf.vectors coverage --labels_file=labels.txt
  convert IN OUT       the form follows the suffix (.bin, .txt, .vec, .glove, .npz) or --format; IN is a file, a name
                       or a model directory; --labels_file or --terms keeps what these need, --limit the most frequent:
                       python -m devise_tf.vectors convert vectors.bin small.npz --labels_file=labels.txt --limit=20000
  describe OUT         vectors of labels made of their names, of sentences that describe their looks (lines
                       `id<TAB>term, term<TAB>sentences`) and, with a hierarchy, of what kind of thing they are:
                       python -m devise_tf.vectors describe mine.npz --vectors=vectors.bin --descriptions=looks.tsv
  projector            files for TensorBoard's projector, of labels or, without them, of the first --limit terms:
                       python -m devise_tf.vectors projector --labels_file=labels.txt --hierarchy=wordnet --output=here
  plot                 a t-SNE picture of label vectors colored by their hierarchy:
                       python -m devise_tf.vectors plot --labels_file=labels.txt --hierarchy=wordnet --output=labels.png
"""

import sys

from absl import flags

from devise_tf import command, vector_commands
from devise_tf.choices import MAX_BAD_ROWS, VECTOR_FORMS

_SHARED = {"vectors", "model_dir", "max_bad_rows"}
# Each command with the number of its arguments (-1: one or more) and the flags that it takes beside _SHARED.
COMMANDS = {
    "nearest": (vector_commands.nearest, -1, {"k", "restrict"}),
    "similarity": (vector_commands.similarity, 2, set()),
    "analogy": (vector_commands.analogy, 3, {"k", "restrict"}),
    "evaluate": (vector_commands.evaluate, 0, {"restrict", "benchmarks", "output"}),
    "coverage": (vector_commands.coverage, 0, {"labels_file", "output"}),
    "convert": (vector_commands.convert, 2, {"format", "terms", "labels_file", "limit"}),
    "describe": (vector_commands.describe, 1, {"format", "descriptions", "hierarchy", "names"}),
    "projector": (vector_commands.projector, 0, {"labels_file", "hierarchy", "names", "groups", "limit", "output"}),
    "plot": (vector_commands.plot, 0, {"labels_file", "hierarchy", "names", "groups", "seed", "output"}),
}


def define_flags(define: command.Definitions) -> None:
    define.string("vectors", None, "Vector file, or the name of vectors that come with the package.")
    define.string("model_dir", None, "Model directory of a run, in place of --vectors; it has labels too.")
    define.integer(
        "max_bad_rows",
        MAX_BAD_ROWS,
        "Most rows of a vector file that may be left out because they cannot be read; with more the command stops.",
        lower_bound=0,
    )
    define.integer("k", 10, "nearest, analogy: number of terms to show.", lower_bound=1)
    define.integer(
        "restrict", None, "nearest, analogy, evaluate: look at the first (most frequent) terms only.", lower_bound=1
    )
    define.string("benchmarks", "", "evaluate: folder of the benchmarks' files; gensim's by default.")
    define.string("output", None, "File (evaluate, plot) or directory (projector) to write.")
    define.enum("format", None, VECTOR_FORMS, "convert, describe: the form to write; npz_int8 is half as large as npz.")
    define.string("terms", None, "convert: file of the terms to keep, one a line.")
    define.integer("limit", None, "convert, projector: largest number of terms.", lower_bound=1)
    define.string("labels_file", None, "File of labels, a line each: `id<TAB>term, term`.")
    define.string(
        "hierarchy",
        None,
        "describe, plot, projector: a file of `parent child` lines, or wordnet, wordnet:DIR.",
    )
    define.string("descriptions", None, "describe: files of descriptions, separated by commas.")
    define.string(
        "names", None, "describe, plot, projector: file like --labels_file, names of the hierarchy's upper ids."
    )
    define.integer("groups", 12, "plot, projector: largest number of groups.", lower_bound=2, upper_bound=12)
    define.integer("seed", 0, "plot: seed of t-SNE.", lower_bound=0)


def main(arguments: list[str], values: flags.FlagValues) -> None:
    with command.usage_errors():
        name, *arguments = arguments or [""]
        _check(name, arguments, values)
    COMMANDS[name][0](arguments, values)


def _check(name: str, arguments: list[str], values: flags.FlagValues) -> None:
    """Holds a command's arguments and flags against what it takes."""
    if name not in COMMANDS:
        raise ValueError(
            f"The first argument must be one of {', '.join(COMMANDS)}; --help shows an example of each. "
            f"Received: {name!r}"
        )
    _, count, flags_of_command = COMMANDS[name]
    if len(arguments) != count if count >= 0 else not arguments:
        expected = f"{count} arguments" if count >= 0 else "at least one argument"
        raise ValueError(f"{name} takes {expected}; put a term of several words in quotes. Received: {arguments}")
    all_flags = {flag for _, _, names in COMMANDS.values() for flag in names} | _SHARED
    taken = flags_of_command | (_SHARED if name != "convert" else {"max_bad_rows"})
    others = [flag for flag in sorted(all_flags - taken) if values[flag].present]
    if others:
        raise ValueError(
            f"{name} takes {', '.join(f'--{flag}' for flag in sorted(taken))} only. "
            f"Received: {', '.join(f'--{flag}' for flag in others)}"
        )


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv, accepts="arguments", old_names={"labels": "labels_file"})


if __name__ == "__main__":
    sys.exit(run())
