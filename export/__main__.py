"""Exports a trained model as a SavedModel that TF Serving runs: image bytes in, labels and scores out.

  python -m devise_tf.export --model_dir=runs/mine --export_dir=serving/devise

writes the next version, serving/devise/1, 2, …, checked and warmed up. Requests may name any labels; those without a
list are answered from the run's labels, or those of --labels_file. See export/serving/README.md for TF Serving.

Another list of labels, as a new version, in seconds and without the training run:

  python -m devise_tf.export --export_dir=serving/devise --relabel=labels.txt

The network alone, from pixels to embeddings, for devices without TensorFlow:

  python -m devise_tf.export --export_dir=serving/devise --litert=devise.tflite --onnx=devise.onnx
"""

import os
import sys

from absl import flags

from devise_tf import command
from devise_tf.choices import EXPORTED_ANSWERS, MAX_BAD_ROWS, MISSING_LABELS

_BATCHING_FLAGS = ("max_batch_size", "batch_timeout_micros", "batch_threads")
_EXPORT_FLAGS = ("model", "labels_file", "answers", "k", "max_terms", "penalty", "batching", *_BATCHING_FLAGS)
# Flags that go with some of the jobs only.
_JOBS_OF_FLAGS = {
    **dict.fromkeys(_EXPORT_FLAGS, ("model_dir",)),
    "missing_labels": ("model_dir", "relabel"),
    "vectors": ("relabel",),
    "max_bad_rows": ("relabel",),
    "representative": ("conversions",),
}


def define_flags(define: command.Definitions) -> None:
    define.string("model_dir", None, "Model directory of a finished run, or name of a preset.")
    define.string("export_dir", None, "Base path of the versions; local, or one like gs://bucket/devise.")
    define.string(
        "model",
        "",
        "What to export: devise, another model of phase 3 (l2), conse, or softmax, which knows trained labels only; by "
        "default devise, or what a preset answers with.",
    )
    define.string(
        "labels_file", None, "List of the labels to answer, in any form of such lists; by default all of the run."
    )
    define.enum("answers", "terms", EXPORTED_ANSWERS, "Whether answers are the labels' first terms or their ids.")
    define.integer("k", 5, "Number of labels of an answer.", lower_bound=1)
    define.integer("max_terms", 100_000, "Most terms that requests may name, those of the labels aside.", lower_bound=0)
    define.enum(
        "missing_labels",
        None,
        list(MISSING_LABELS),
        "Labels without a vector: see the flag of training; by default as in training.",
    )
    define.float(
        "penalty",
        None,
        "What is taken from scores of trained labels where others are in the list; 0: nothing; by default the model's.",
        lower_bound=0,
    )
    define.boolean("batching", False, "In-graph batching of the network: for many small requests at once.")
    define.integer("max_batch_size", 32, "Batching: most images of one run of the network.", lower_bound=1)
    define.integer("batch_timeout_micros", 1_000, "Batching: how long an image waits for others.", lower_bound=0)
    define.integer("batch_threads", 2, "Batching: runs of the network at the same time.", lower_bound=1)
    define.string("relabel", None, "Make a version like the newest one that answers the labels of this file.")
    define.string(
        "vectors",
        None,
        "Relabel: vectors of the labels, of the space that the model was trained in. By default the packaged ones if "
        "they are of that space, else the terms that the export has.",
    )
    define.integer(
        "max_bad_rows",
        MAX_BAD_ROWS,
        "Relabel: most rows of --vectors that may be left out because they cannot be read; with more it stops.",
        lower_bound=0,
    )
    define.string("litert", None, "Write the newest version's network as a LiteRT file (float32).")
    define.string("int8", None, "Write it as a LiteRT file in 8-bit integers; needs --representative.")
    define.string("onnx", None, "Write it as an ONNX file.")
    define.string("representative", None, "int8: images like those to come, folder:DIR or tfds:NAME; 200 are used.")


def main(_: list[str], values: flags.FlagValues) -> None:
    with command.usage_errors():
        job = check_flags(values)
    export_dir = values.export_dir if "://" in values.export_dir else os.path.expanduser(values.export_dir)
    if job == "conversions":
        _convert(export_dir, values)
        return
    print("Writing, and checking in a fresh process: half a minute.", flush=True)
    version = _relabel(export_dir, values) if job == "relabel" else _export(export_dir, values)
    print(f"Exported: {version}")
    print(f"Try it: python -m devise_tf.serve --export_dir={version.rpartition('/')[0]}")


def check_flags(values: flags.FlagValues) -> str:
    """What the flags ask for: `"model_dir"`, `"relabel"` or `"conversions"`.

    Raises:
        ValueError: They ask for nothing, for two things, or do not go together.
    """
    if not values.export_dir:
        raise ValueError("--export_dir must name the base path of the versions. Received: none")
    conversions = _conversions(values)
    jobs = [name for name in ("model_dir", "relabel") if values[name].value] + (["conversions"] if conversions else [])
    if len(jobs) != 1:
        raise ValueError(
            "Give one of --model_dir (export a run), --relabel (other labels) and --litert, --int8 or --onnx (convert "
            f"an exported version). Received: {jobs or 'none'}"
        )
    [job] = jobs
    for flag, goes_with in _JOBS_OF_FLAGS.items():
        if values[flag].present and job not in goes_with:
            raise ValueError(f"--{flag} does not go with --{job}. Received: --{flag}={values[flag].value}")
    if any(values[flag].present for flag in _BATCHING_FLAGS) and not values.batching:
        raise ValueError(f"--{', --'.join(_BATCHING_FLAGS)} need --batching. Received: no --batching")
    paths = list(conversions.values())
    if len(set(paths)) < len(paths):
        raise ValueError(f"Each form needs a file of its own. Received: {paths}")
    if bool(values.int8) != bool(values.representative):
        raise ValueError("--int8 and --representative go together. Received: one of the two")
    return job


def _conversions(values: flags.FlagValues) -> dict[str, str]:
    """The files to convert a version to, by form."""
    return {form: getattr(values, form) for form in ("litert", "int8", "onnx") if getattr(values, form)}


def _relabel(export_dir: str, values: flags.FlagValues) -> str:
    from devise_tf.export.relabel import relabel

    labels_file = os.path.expanduser(values.relabel)
    return relabel(export_dir, labels_file, values.vectors or "", values.missing_labels or "", values.max_bad_rows)


def _export(export_dir: str, values: flags.FlagValues) -> str:
    from devise_tf.export.build import Batching, ExportSettings, export_model

    batching = Batching(values.max_batch_size, values.batch_timeout_micros, values.batch_threads)
    settings = ExportSettings(
        model=values.model,
        labels=values.labels_file or "",
        answers=values.answers,
        k=values.k,
        max_terms=values.max_terms,
        batching=batching if values.batching else None,
        missing_labels=values.missing_labels or "",
        penalty=values.penalty,
    )
    return export_model(values.model_dir, export_dir, settings)


def _convert(export_dir: str, values: flags.FlagValues) -> None:
    from devise_tf.export.convert import convert_newest

    files = {form: os.path.expanduser(path) for form, path in _conversions(values).items()}
    for path, result in convert_newest(export_dir, files, values.representative or ""):
        print(
            f"{path}: {result['bytes']:,} bytes; differs from the SavedModel by {result['max_difference']:.1e} at "
            f"most, mean cosine {result['mean_cosine']:.5f}",
            flush=True,
        )


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv, old_names={"labels": "labels_file"})


if __name__ == "__main__":
    sys.exit(run())
