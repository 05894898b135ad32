"""Measures trained models as the paper did: flat hit@k, hierarchical precision@k, zero-shot; writes a report.

  python -m devise_tf.evaluate --model_dir=runs/mine

It measures every model that the directory holds on the same `val` images: the softmax, DeViSE, DeViSE before its CNN
learned too (devise_projection), random label vectors, those that --compare trained, ConSE made of the softmax, and
chance. All models made of words answer by label vectors, or all by terms (--answers); what the paper claims is held
against both. The report has tables.md, metrics.json and index.html, a page to look at. Runs that differ in their
seeds only are measured together:

  python -m devise_tf.evaluate --model_dir=runs/seed_0,runs/seed_1,runs/seed_2

Labels that were never trained, from a list of ids, with their terms and the hierarchy that they are in:

  python -m devise_tf.evaluate --model_dir=runs/ilsvrc --images=folder:imagenet_21k --unseen_labels=2_hop_ids.txt \\
      --labels_file=models/imagenet/labels_21k.txt --hierarchy=imagenet
"""

import functools
import shlex
import sys
from typing import Any

from absl import flags

from devise_tf import command
from devise_tf.choices import EVALUATED_ANSWERS, STRATEGIES
from devise_tf.evaluation.settings import EvaluationSettings


def define_flags(define: command.Definitions) -> None:
    """Defines the flags of the command."""
    default = EvaluationSettings
    define.list("model_dir", None, "Model directories that differ in their seeds, one or several; or a preset.")
    define.string(
        "images",
        "",
        "Images whose `val` split is measured: folder:DIR, tfds:NAME, builtin; by default the run's.",
    )
    define.string("data_dir", "", "Where TensorFlow Datasets keeps its files; empty for its own default.")
    define.float("val_share", None, "Of folder:DIR without train and val, the share to measure; by default the run's.")
    define.string("labels_file", "", "Label files with terms, separated by commas, in addition to the run's labels.")
    define.string("unseen_labels", "", "File of ids that count as unseen, one a line; by default those of the run.")
    define.string("hierarchy", "", "File of `parent child` lines, wordnet, imagenet or cifar100; by default the run's.")
    define.string("wordnet_dir", "", "Folder of WordNet's file data.noun, for --hierarchy=wordnet.")
    define.list("models", None, "Models to measure, such as softmax,devise,conse; all by default.")
    define.list("conse_top", ["10", "1", "all"], "ConSE's numbers of most probable labels, each a model.")
    define.enum(
        "answers",
        default.answers,
        EVALUATED_ANSWERS,
        "Models made of words answer by label vectors, or by the candidates' terms (the paper's A.2).",
    )
    define.list("k", None, "The k of hit@k and hp@k; by default those of 1,2,5,10,20 that fit.")
    help_text = "Share of the images to choose penalties on seen labels by; the rest is measured."
    define.float("validation_share", default.validation_share, help_text)
    define.string("penalties_from", "", "Evaluated model directory of a run with --validation_labels.")
    define.string("report_dir", "", "Where the report goes; empty for report/ in the first model directory.")
    help_text = "Share of unreadable images, 0 to 1, above which the command stops."
    define.float("max_bad_images", default.max_bad_images, help_text)
    define.integer("batch_size", default.batch_size, "Images at once, over all devices.", lower_bound=1)
    help_text = "Number of images that the report shows with their answers."
    define.integer("samples", default.samples, help_text, lower_bound=0)
    help_text = "Seed of the split, the bootstrap and the choice of samples."
    define.integer("seed", default.seed, help_text, lower_bound=0)
    define.enum("strategy", "default", STRATEGIES[:2], "Devices: one, or all of this machine's.")
    define.integer("verbose", 1, "0 for no progress bars.")


def main(_: list[str], values: flags.FlagValues, command_line: str) -> None:
    from devise_tf.evaluation.evaluate_runs import evaluate_runs
    from devise_tf.training.strategy import make_strategy

    names = ["images", "data_dir", "val_share", "unseen_labels", "models", "answers", "validation_share", "samples"]
    names += ["penalties_from", "report_dir", "max_bad_images", "batch_size", "seed", "verbose"]
    same: dict[str, Any] = {name: values[name].value for name in names}
    with command.usage_errors():
        settings = EvaluationSettings(
            model_dirs=values.model_dir or [],
            labels=values.labels_file,
            hierarchy=_hierarchy(values.hierarchy, values.wordnet_dir),
            conse_tops=[None if top == "all" else _number(top, "conse_top") for top in values.conse_top],
            ks=None if values.k is None else sorted(_number(k, "k") for k in values.k),
            **same,
        )
    evaluate_runs(settings, command_line, make_strategy(values.strategy))


def _hierarchy(hierarchy: str, wordnet_dir: str) -> str:
    if not wordnet_dir:
        return hierarchy
    if hierarchy not in ("", "wordnet"):
        raise ValueError(f"`wordnet_dir` goes with --hierarchy=wordnet. Received: --hierarchy={hierarchy}")
    return f"wordnet:{wordnet_dir}"


def _number(text: str, flag: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"`{flag}` must hold numbers separated by commas. Received: --{flag}={text}")
    return int(text)


def run(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    measure = functools.partial(main, command_line=shlex.join(["python", "-m", "devise_tf.evaluate", *arguments]))
    return command.run(measure, define_flags, __doc__, argv, old_names={"ks": "k", "labels": "labels_file"})


if __name__ == "__main__":
    sys.exit(run())
