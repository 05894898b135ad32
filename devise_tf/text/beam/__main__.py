"""Counts and encodes a corpus with Apache Beam, for text that outgrows a machine.

  python -m devise_tf.text.beam --corpus='text/*.txt' --labels_file=words.txt --output_dir=runs/mine \\
      --runner=FnApiRunner --direct_num_workers=0 --direct_running_mode=multi_processing

writes the same `vocabulary.txt`, `corpus.ids` and `corpus.ids.json`, byte for byte, that `python -m devise_tf.train`
would make of that text, and which it then starts from when it is given the directory as --model_dir. All other flags
are Beam's own pipeline options. Without --runner, the pipeline runs in this process. Workers import neither TensorFlow
nor Keras; they need `devise_tf` and NumPy.
"""

import itertools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from devise_tf import command
from devise_tf.choices import TOKENIZERS
from devise_tf.labels.open_labels import open_labels
from devise_tf.text.tokenizers import get_tokenizer

if TYPE_CHECKING:
    from devise_tf.text.beam.sdk import PipelineOptions

# Their job servers know options that the Python SDK does not.
_RUNNERS_WITH_MORE_OPTIONS = ("FlinkRunner", "PortableRunner", "PrismRunner", "SparkRunner")


def define_flags(define: command.Definitions) -> None:
    define.string("corpus", None, "Globs of text files, separated by commas; paths or URLs.", required=True)
    define.string("output_dir", None, "Folder here to write to: a later run's --model_dir.", required=True)
    define.string("labels_file", None, "File of labels whose terms are to be in the vocabulary.")
    define.string("phrases_file", None, "File of phrases to join too, one a line.")
    define.string("tokenizer", "", f"How text becomes words: {', '.join(TOKENIZERS)}.")
    define.integer("min_count", 5, "Least occurrences of a term; of labels' terms: 1.")
    define.integer("max_vocabulary", 0, "Most terms in the vocabulary; 0 for no limit.")
    define.integer("range_bytes", None, "Bytes of text that a task reads; 32 MiB by default.")


def main(arguments: list[str], values: flags.FlagValues) -> None:
    from devise_tf.text.beam.encode import RANGE_BYTES, TermChoice, encode_with_beam  # an optional extra

    with command.usage_errors():
        options = _options(arguments)
    terms: list[str] = []
    if values.labels_file:
        terms = [term for terms in open_labels(values.labels_file).terms for term in terms]
    phrases: list[str] = []
    if values.phrases_file:
        with open(values.phrases_file, encoding="utf-8") as file:
            phrases = [line for line in file if not line.isspace()]
    choice = TermChoice(
        terms, values.min_count, values.max_vocabulary or None, phrases, get_tokenizer(values.tokenizer)
    )
    encoded = encode_with_beam(
        values.corpus,
        values.output_dir,
        choice,
        options,
        RANGE_BYTES if values.range_bytes is None else values.range_bytes,
    )
    print(f"{encoded.num_words:,} words of text, {encoded.num_ids:,} of them terms: {encoded.path}")


def _options(arguments: Sequence[str]) -> "PipelineOptions":
    """Beam's options, out of the arguments that are no flags of this command."""
    from devise_tf.text.beam.sdk import PipelineOptions, StandardOptions

    options = PipelineOptions(list(arguments))
    unknown = options.get_all_options(retain_unknown_options=True).keys() - options.get_all_options().keys()
    # What a shell made of a glob without quotes; Beam would leave it out.
    stray = [
        value
        for before, value in itertools.pairwise(["", *arguments])
        if not value.startswith("-") and ("=" in before or not before.startswith("--"))
    ]
    if stray:
        raise ValueError(
            f"Unexpected arguments: {' '.join(stray)}; this command takes flags only, and globs in quotes."
        )
    if unknown and options.view_as(StandardOptions).runner not in _RUNNERS_WITH_MORE_OPTIONS:
        raise ValueError(f"No such flags, neither here nor in Beam: {sorted(unknown)}. Received: {' '.join(arguments)}")
    return options


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv, accepts="all", old_names={"labels": "labels_file"})


if __name__ == "__main__":
    sys.exit(run())
