"""Says what is in photos: the labels that fit them best, out of any that you name.

  python -m devise_tf.predict photo.jpg

answers with the labels of the preset that comes with the package. Other labels, which no image of it was trained for:

  labels of your own       python -m devise_tf.predict photo.jpg --labels="tabby cat,sports car,snow leopard"
  labels of a file         python -m devise_tf.predict photo.jpg --labels_file=labels.txt
  a list by its name       python -m devise_tf.predict photo.jpg --candidates=imagenet21k

Photos are files, folders with all that is below them, patterns in quotes, or `-` for one on the standard input: JPEG,
PNG, WebP, TIFF and all else that Pillow reads; HEIC after `pip install "devise_tf[heic]"`. Of folders and patterns
the files with the ending of an image count, each file once.

  many of them             python -m devise_tf.predict holiday/ "more/*.png" --format=csv > labels.csv
  from another program     curl -s https://example.org/photo.jpg | python -m devise_tf.predict - --format=json
  their embeddings         python -m devise_tf.predict holiday/ --embeddings=holiday.npz
  a model that you trained python -m devise_tf.predict photo.jpg --model_dir=runs/mine --model=profiles

Scores are cosines of an image's embedding and a label's vector; those of --model=softmax, which knows only the labels
that it was trained on, are probabilities. Trained labels win almost always: where a list has others, too, a penalty is
taken from their scores, the model's own or --penalty=0.05; --penalty=0 takes none.

--format=json prints a line a photo: `{"file": …, "labels": [{"label": …, "score": …, "id": …}, …]}` or
`{"file": …, "error": …}`; csv a row a label. The embeddings' file holds `names` and `embeddings`, float32 [N, D] of
unit norm (of a softmax: the probabilities).

A photo that cannot be read is named on the standard error and does not stop the others; so are labels that the model
does not know. The exit status is 0 if all photos were answered, 1 if any was not, 2 if the command line is wrong.
"""

import contextlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags

from devise_tf import command
from devise_tf.answer_printer import AnswerPrinter, print_ignored, print_senses
from devise_tf.choices import ANSWER_FORMATS
from devise_tf.files import atomic_write
from devise_tf.labels import LabelSet
from devise_tf.labels.candidate_lists import candidate_labels
from devise_tf.labels.open_labels import open_labels
from devise_tf.models import DEFAULT_PRESET

if TYPE_CHECKING:
    from devise_tf.models.predictor import Answer, Predictor


def define_flags(define: command.Definitions) -> None:
    define.string("model_dir", DEFAULT_PRESET, "Name of a preset, or model directory of a run.")
    define.string("model", None, "softmax, devise, conse or another of its models; by default the best one.")
    define.string("labels", None, "Labels to choose from, separated by commas; by default the model's own.")
    define.string("labels_file", None, "List of labels: lines of ids and terms, CSV, JSON, YAML or Python.")
    define.string("candidates", None, "A list of labels: imagenet1k, imagenet21k, wordnet or wordnet:DIR.")
    help_text = "What is taken from scores of trained labels where others are in the list; by default the model's own."
    define.float("penalty", None, help_text, lower_bound=0)
    define.integer("k", 5, "Number of labels to print a photo, the best first.", lower_bound=1)
    define.enum("format", "table", ANSWER_FORMATS, "Form of the answers.")
    define.string("embeddings", None, "File (.npz) to write the photos' embeddings to.")
    define.integer("batch_size", 64, "Photos at once.", lower_bound=1)


def main(arguments: list[str], values: flags.FlagValues) -> int:
    warnings.filterwarnings("ignore", module=r"PIL\.")  # about tags that nobody needs
    with command.usage_errors():
        _check(arguments, values)
        texts = _texts(values.labels)
        output = _output(values.embeddings)

        from devise_tf import models
        from devise_tf.images.photo_files import list_photos

        labels = _listed_labels(values) if texts is None else texts
        predictor = models.load(values.model_dir, values.model, values.penalty)
        known = predictor.known(labels)
    print_ignored(known, labels or predictor.labels, predictor.model)
    print_senses(predictor.senses(texts or []))
    paths, failures = list_photos(arguments)
    printer = AnswerPrinter(values.format, len(paths))
    try:
        for name, message in failures:
            printer.fail(name, message)
        _predict(predictor, labels, paths, output, values, printer)
        sys.stdout.flush()
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(printer.failed)


def _check(arguments: Sequence[str], values: flags.FlagValues) -> None:
    lists = [f"--{name}" for name in ("labels", "labels_file", "candidates") if values[name].value is not None]
    if len(lists) > 1:
        raise ValueError(f"Give one list of labels. Received: {', '.join(lists)}")
    if not arguments or arguments.count("-") > 1:
        raise ValueError(f"Name at least one photo, and `-` once; --help shows examples. Received: {arguments}")


def _texts(labels: str | None) -> list[str] | None:
    if labels is None:
        return None
    texts = [text.strip() for text in labels.split(",")]
    if not any(texts):
        raise ValueError(f"`labels` must name at least one label. Received: --labels={labels!r}")
    return [text for text in texts if text]


def _output(embeddings: str | None) -> str | None:
    if embeddings is None:
        return None
    path = os.path.abspath(os.path.expanduser(embeddings))
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(path)):
        raise ValueError(f"`embeddings` must name a file in an existing folder. Received: {embeddings!r}")
    return path


def _listed_labels(values: flags.FlagValues) -> LabelSet | None:
    """The labels of a file or list that flags name, or None."""
    if values.labels_file is not None:
        return open_labels(values.labels_file, "labels_file")
    return None if values.candidates is None else candidate_labels(values.candidates)


def _predict(
    predictor: "Predictor",
    labels: Sequence[str] | LabelSet | None,
    paths: list[str],
    output: str | None,
    values: flags.FlagValues,
    printer: AnswerPrinter,
) -> None:
    names: list[str] = []
    rows: list[np.ndarray] = []
    batches: Any = predictor.prepared(_Photos(paths), values.batch_size, paths)
    with contextlib.closing(batches):
        for start, batch in zip(range(0, len(paths), values.batch_size), batches, strict=True):
            good = [image for image in batch if not isinstance(image, Exception)]
            answers: list[list[Answer]] = []
            embeddings = np.zeros((0, 0), np.float32)
            if good:
                answers, embeddings = predictor.predict_pixels(np.stack(good), labels, values.k)
            remaining = iter(answers)
            printer.clear()
            for name, image in zip(paths[start:], batch, strict=False):
                if isinstance(image, Exception):
                    printer.fail(name, _message(image, name))
                else:
                    printer.answer(name, next(remaining))
                    names.append(name)
            if output is not None:
                rows.extend(embeddings)
            printer.progress(len(batch))
    printer.clear()
    if output is not None:
        table = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
        with atomic_write(output) as file:
            np.savez(file, names=np.array(names, str), embeddings=table)


class _Photos(Sequence):
    """The photos behind paths; that of the standard input is read when it is needed."""

    def __init__(self, paths: list[str]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        from devise_tf.photo_bytes import MAX_BYTES

        return sys.stdin.buffer.read(MAX_BYTES + 1) if self.paths[index] == "-" else self.paths[index]


def _message(error: Exception, name: str) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error).removeprefix(f"{name}: ")


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv, accepts="arguments", old_names={"top_k": "k"})


if __name__ == "__main__":
    sys.exit(run())
