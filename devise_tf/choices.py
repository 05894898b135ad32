"""Choices and defaults that settings, functions and models share, each listed once. Imports nothing of the package."""

import difflib
from collections.abc import Sequence
from typing import NamedTuple


class MissingLabels(NamedTuple):
    """What to do about labels none of whose terms has a vector.

    Attributes:
        composes: bool. Whether a label gets the mean of the vectors of a term's words, if each word has one.
        leaves_out: bool. Whether labels that are still without a vector are left out; if not, they are an error.
        help: str. What to tell users.
    """

    composes: bool
    leaves_out: bool
    help: str


# What a label's vector is made of; see `devise_tf.labels.WordSpace`.
LABEL_TERMS = ("first", "mean", "heads", "random")
# The choices. An entry is all that another one takes: flags, help texts and errors list it.
MISSING_LABELS = {
    "compose": MissingLabels(True, False, "take the mean of the words' vectors; stop if a word has none"),
    "drop": MissingLabels(True, True, "take the mean; leave the label out if a word has none"),
    "stop": MissingLabels(False, False, "stop"),
}
# Whatever training did, predictions, evaluations and ConSE use all labels that can have a vector, and no others.
MISSING_LABELS_OF_ANSWERS = "drop"
# Which false labels the hinge rank loss counts.
VIOLATIONS = ("one", "sum", "hardest")
# The losses of phase 3: the hinge rank loss by its violations, and its alternatives.
LOSSES = (*VIOLATIONS, "l2", "softmax")
# Keras dtype policies of a visual model.
DTYPES = ("float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16")
# Rules by which text becomes words; the last one is that of runs which were made before there were others.
TOKENIZERS = ("words", "unicode_script", "sentencepiece:FILE", "unnormalized_words")
# Forms of vector files, and of the answers that a command prints.
VECTOR_FORMS = ("word2vec_text", "word2vec_binary", "glove", "npz", "npz_int8")
NPZ_FORMS = ("npz", "npz_int8")
ANSWER_FORMATS = ("table", "json", "csv")
# What evaluated models made of words answer with, and an export.
EVALUATED_ANSWERS = ("labels", "terms")
EXPORTED_ANSWERS = ("terms", "ids")

# Rows of a vector file that may be left out because they cannot be read.
MAX_BAD_ROWS = 1000
MARGIN = 0.1
# Of the softmax over cosines, and of profiles of similarities.
TEMPERATURE = 0.07
PROFILE_TEMPERATURE = 0.15
# Of the projection that is solved for the loss `l2`.
RIDGE = 0.01

# Of a folder of images without `train` and `val`, the part that is measured.
VAL_SHARE = 0.1

# The phases of training, and the devices that it runs on.
PHASES = ("all", "skip_gram", "cnn", "devise")
STRATEGIES = ("default", "mirrored", "multi_worker")


def did_you_mean(name: str, choices: Sequence[str]) -> str:
    """A sentence for an error that names the choice nearest to a name, after a space; empty if none is near."""
    nearest = difflib.get_close_matches(name, choices, n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
