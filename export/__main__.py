"""Exports a trained model as a SavedModel that TF Serving runs: image bytes in, labels and scores out.

  python -m devise_tf.export --model_dir=runs/mine --export_dir=serving/devise

writes the next version, serving/devise/1, 2, …, checked and warmed up. Requests may name any labels; those without a
list are answered from the run's labels, or those of --labels. See export/serving/README.md for TF Serving.

Another list of labels, as a new version, in seconds and without the training run:

  python -m devise_tf.export --export_dir=serving/devise --relabel=labels.txt

The network alone, from pixels to embeddings, for devices without TensorFlow:

  python -m devise_tf.export --export_dir=serving/devise --litert=devise.tflite --onnx=devise.onnx
"""

import os
import sys
import zipfile

from absl import app, flags, logging

from devise_tf.choices import MISSING_LABELS

_BATCHING_FLAGS = ("max_batch_size", "batch_timeout_micros", "batch_threads")
_OWN_FLAGS = {
    "model_dir": ("model", "labels", "answers", "k", "max_terms", "missing_labels", "batching", *_BATCHING_FLAGS),
    "relabel": ("vectors",),
    "conversions": ("representative",),
}


def define_flags() -> None:
    flags.DEFINE_string("model_dir", None, "Model directory of a finished run, or name of a preset.")
    flags.DEFINE_string("export_dir", None, "Base path of the versions; local, or one like gs://bucket/devise.")
    flags.DEFINE_string(
        "model",
        "",
        "What to export: devise, another model of phase 3 (l2), conse, or softmax, which knows trained labels only; by "
        "default devise, or what a preset answers with.",
    )
    flags.DEFINE_string(
        "labels", None, "File of the labels to answer, a line each: `id<TAB>term, term`; by default all of the run."
    )
    flags.DEFINE_enum("answers", "terms", ["terms", "ids"], "Whether answers are the labels' first terms or their ids.")
    flags.DEFINE_integer("k", 5, "Number of labels of an answer.", lower_bound=1)
    flags.DEFINE_integer(
        "max_terms", 100_000, "Most terms that requests may name, those of the labels aside.", lower_bound=0
    )
    flags.DEFINE_enum(
        "missing_labels", None, MISSING_LABELS, "Labels without a vector: as in training, and by default."
    )
    flags.DEFINE_boolean("batching", False, "In-graph batching of the network: for many small requests at once.")
    flags.DEFINE_integer("max_batch_size", 32, "Batching: most images of one run of the network.", lower_bound=1)
    flags.DEFINE_integer("batch_timeout_micros", 1_000, "Batching: how long an image waits for others.", lower_bound=0)
    flags.DEFINE_integer("batch_threads", 2, "Batching: runs of the network at the same time.", lower_bound=1)
    flags.DEFINE_string("relabel", None, "Make a version like the newest one that answers the labels of this file.")
    flags.DEFINE_string(
        "vectors",
        None,
        "Relabel: vectors of the labels, of the space that the model was trained in. By default the packaged ones if "
        "they are of that space, else the terms that the export has.",
    )
    flags.DEFINE_string("litert", None, "Write the newest version's network as a LiteRT file (float32).")
    flags.DEFINE_string("int8", None, "Write it as a LiteRT file in 8-bit integers; needs --representative.")
    flags.DEFINE_string("onnx", None, "Write it as an ONNX file.")
    flags.DEFINE_string(
        "representative", None, "int8: images like those to come, folder:DIR or tfds:NAME; 200 are used."
    )


def main(argv: list[str]) -> None:
    values = flags.FLAGS
    if len(argv) > 1:
        raise ValueError(f"Flags only, please. Received: {' '.join(argv[1:])}")
    if not values.export_dir:
        raise ValueError("--export_dir must name the base path of the versions. Received: none")
    conversions = [name for name in ("litert", "int8", "onnx") if values[name].value]
    jobs = [name for name in ("model_dir", "relabel") if values[name].value] + (["conversions"] if conversions else [])
    if len(jobs) != 1:
        raise ValueError(
            "Give one of --model_dir (export a run), --relabel (other labels) and --litert, --int8 or --onnx (convert "
            f"an exported version). Received: {jobs or 'none'}"
        )
    for job, own in _OWN_FLAGS.items():
        for flag in own:
            if values[flag].present and not (job in jobs or (flag == "missing_labels" and "relabel" in jobs)):
                raise ValueError(f"--{flag} does not go with --{jobs[0]}. Received: --{flag}={values[flag].value}")
    if any(values[flag].present for flag in _BATCHING_FLAGS) and not values.batching:
        raise ValueError(f"--{', --'.join(_BATCHING_FLAGS)} need --batching. Received: no --batching")
    outputs = [values[name].value for name in conversions]
    if len(set(outputs)) < len(outputs):
        raise ValueError(f"Each form needs a file of its own. Received: {outputs}")
    if bool(values.int8) != bool(values.representative):
        raise ValueError("--int8 and --representative go together. Received: one of the two")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    export_dir = values.export_dir if "://" in values.export_dir else os.path.expanduser(values.export_dir)
    if conversions:
        _convert(export_dir, conversions)
        return
    from devise_tf.export.build import ExportSettings, export_model
    from devise_tf.export.relabel import relabel
    from devise_tf.export.served_model import Batching

    print("Writing, and checking in a fresh process: half a minute.", flush=True)
    if values.relabel:
        version = relabel(
            export_dir, os.path.expanduser(values.relabel), values.vectors or "", values.missing_labels or ""
        )
    else:
        batching = Batching(values.max_batch_size, values.batch_timeout_micros, values.batch_threads)
        settings = ExportSettings(
            values.model, values.labels or "", values.answers, values.k, values.max_terms,
            batching if values.batching else None, values.missing_labels or "",
        )  # fmt: skip
        version = export_model(values.model_dir, export_dir, settings)
    print(f"Exported: {version}")
    print(f"Try it: python -m devise_tf.serve --export_dir={version.rpartition('/')[0]}")


def _convert(export_dir: str, forms: list[str]) -> None:
    from devise_tf.export.convert import to_litert, to_onnx
    from devise_tf.export.publish import newest_version
    from devise_tf.export.sample_pixels import sample_pixels
    from devise_tf.images import open_images

    values = flags.FLAGS
    version = newest_version(export_dir)
    for form in forms:
        path = os.path.expanduser(values[form].value)
        if form == "onnx":
            found = to_onnx(version, path)
        elif form == "litert":
            found = to_litert(version, path)
        else:
            batches = sample_pixels(open_images(values.representative, "train"), 200, version)
            found = to_litert(version, path, [image for pixels, _ in batches for image in pixels])
        print(
            f"{path}: {found['bytes']:,} bytes; differs from the SavedModel by {found['max_difference']:.1e} at most, "
            f"mean cosine {found['mean_cosine']:.5f}",
            flush=True,
        )


def run() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    define_flags()
    try:
        app.run(main)
    except (ValueError, OSError, RuntimeError, ModuleNotFoundError, zipfile.BadZipFile) as error:
        sys.exit(f"Error: {error}")
    except Exception as error:
        if not type(error).__module__.startswith("tensorflow"):  # a full disk, a file system that is not there
            raise
        sys.exit(f"Error: {str(error).splitlines()[0]}")


if __name__ == "__main__":
    run()
