"""Measures trained models as the paper did: flat hit@k, hierarchical precision@k, zero-shot; writes a report.

  python -m devise_tf.evaluate --model_dir=runs/mine

It measures every model that the directory holds on the same `val` images: the softmax, DeViSE, DeViSE before its CNN
learned too (devise_projection), random label vectors, those that --compare trained, ConSE made of the softmax, and
chance. The report has tables.md, metrics.json and index.html, a page to look at. Runs that differ in their seeds
only are measured together:

  python -m devise_tf.evaluate --model_dir=runs/seed_0,runs/seed_1,runs/seed_2

Labels that were never trained, from a list of ids, with their terms and their place in the hierarchy:

  python -m devise_tf.evaluate --model_dir=runs/ilsvrc --images=folder:imagenet_21k --unseen_labels=2_hop_ids.txt \\
      --labels=models/imagenet/labels_21k.txt --hierarchy=imagenet
"""

import os
import shlex
import sys

from absl import app, flags, logging


def define_flags() -> None:
    """Defines the flags of the command."""
    flags.DEFINE_list("model_dir", None, "Model directories that differ in their seeds, one or several; or a preset.")
    flags.DEFINE_string(
        "images", "", "Images, whose `val` split is measured: folder:DIR, tfds:NAME, builtin. The run's."
    )
    flags.DEFINE_string("data_dir", "", "Where TensorFlow Datasets keeps its files; empty for its own default.")
    flags.DEFINE_string("labels", "", "Label files with terms, separated by commas, beside the run's own.")
    flags.DEFINE_string("unseen_labels", "", "File of ids that count as unseen, one a line, in place of the run's own.")
    flags.DEFINE_string("hierarchy", "", "File of `parent child` lines, wordnet, imagenet or cifar100. The run's own.")
    flags.DEFINE_string("wordnet_dir", "", "Folder of WordNet's file data.noun, for --hierarchy=wordnet.")
    flags.DEFINE_list("models", None, "Models to measure, such as softmax,devise,conse; all by default.")
    flags.DEFINE_list("conse_top", ["10", "1", "all"], "ConSE's numbers of most probable labels, each a model.")
    flags.DEFINE_enum(
        "answers",
        "auto",
        ["auto", "terms", "labels"],
        "Answer by the labels' terms, as the paper's A.2, or by label vectors; auto: as the model was trained.",
    )
    flags.DEFINE_list("ks", None, "The k of hit@k and hp@k; by default those of 1,2,5,10,20 that fit.")
    flags.DEFINE_float(
        "validation_share", 0.0, "Share of the images to choose penalties on seen labels by; the rest is measured."
    )
    flags.DEFINE_string("penalties_from", "", "Evaluated model directory of a run with --validation_labels.")
    flags.DEFINE_string("report_dir", "", "Where the report goes; empty for report/ in the first model directory.")
    flags.DEFINE_float("max_bad_images", 0.05, "Share of unreadable images, 0 to 1, above which the command stops.")
    flags.DEFINE_integer("batch_size", 64, "Images at once, over all devices.", lower_bound=1)
    flags.DEFINE_integer("samples", 24, "Number of images that the report shows with their answers.", lower_bound=0)
    flags.DEFINE_integer("seed", 0, "Seed of the split, the bootstrap and the choice of samples.", lower_bound=0)
    flags.DEFINE_enum("strategy", "default", ["default", "mirrored"], "Devices: one, or all of this machine's.")
    flags.DEFINE_integer("verbose", 1, "0 for no progress bars.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise ValueError(f"Flags only, please. Received: {' '.join(argv[1:])}")
    options = flags.FLAGS
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    hierarchy = options.hierarchy
    if options.wordnet_dir:
        if hierarchy not in ("", "wordnet"):
            raise ValueError(f"`wordnet_dir` goes with --hierarchy=wordnet. Received: --hierarchy={hierarchy}")
        hierarchy = f"wordnet:{options.wordnet_dir}"
    from devise_tf.evaluation import EvaluationSettings, evaluate_runs
    from devise_tf.training.strategy import make_strategy

    settings = EvaluationSettings(
        model_dirs=options.model_dir or [],
        conse_tops=[None if top == "all" else _number(top, "conse_top") for top in options.conse_top],
        ks=None if options.ks is None else sorted(_number(k, "ks") for k in options.ks),
        hierarchy=hierarchy,
        **{
            name: options[name].value
            for name in (
                *("images", "data_dir", "labels", "unseen_labels", "models", "answers", "validation_share", "samples"),
                *("penalties_from", "report_dir", "max_bad_images", "batch_size", "seed", "verbose"),
            )
        },
    )
    command = shlex.join(["python", "-m", "devise_tf.evaluate", *sys.argv[1:]])
    evaluate_runs(settings, command, make_strategy(options.strategy))


def _number(text: str, flag: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"`{flag}` must hold numbers separated by commas. Received: --{flag}={text}")
    return int(text)


def run() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    define_flags()
    try:
        app.run(main)
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    run()
