"""Says what is in photos: the labels that fit them best, out of any that you name.

  python -m devise_tf.predict photo.jpg

answers with the labels of the preset that comes with the package. Other labels, which no image of it was trained for:

  labels of your own       python -m devise_tf.predict photo.jpg --labels="tabby cat,sports car,snow leopard"
  labels of a file         python -m devise_tf.predict photo.jpg --labels_file=labels.txt
  lists that are known     python -m devise_tf.predict photo.jpg --candidates=imagenet21k

Photos are files, folders with all that is below them, patterns in quotes, or `-` for one on the standard input: JPEG,
PNG, GIF, BMP, WebP, TIFF. Of folders and patterns the files with the ending of an image count, each file once.

  many of them             python -m devise_tf.predict holiday/ "more/*.png" --format=csv > labels.csv
  from another program     curl -s https://example.org/photo.jpg | python -m devise_tf.predict - --format=json
  their embeddings         python -m devise_tf.predict holiday/ --embeddings=holiday.npz
  a model of one's own     python -m devise_tf.predict photo.jpg --model_dir=runs/mine --model=profiles

Scores are cosines of an image's embedding and a label's vector; of --model=softmax, which knows the labels only that it
was trained on, they are probabilities. --format=json prints a line a photo: `{"file": …, "labels": [{"label": …,
"score": …, "id": …}, …]}` or `{"file": …, "error": …}`; csv a row a label. The embeddings' file holds `names` and
`embeddings`, float32 [N, D] of unit norm (of a softmax: its probabilities).

A photo that cannot be read is named on the standard error and does not stop the others; so are labels that the model
does not know. The exit status is 0 if all photos were answered, 1 if any was not, 2 if the command line is wrong.
"""

import contextlib
import csv
import glob
import json
import os
import sys
import time
import warnings

from absl import app, flags, logging

from devise_tf.models import DEFAULT_PRESET

_LISTS = {"imagenet1k": "models/imagenet/labels_1k.txt", "imagenet21k": "models/imagenet/labels_21k.txt"}
_FIELDS = ("file", "rank", "label", "score", "id", "error")
_SHOWN = 20
# Where nobody looks at a bar, a list of so many photos is worth a line now and then.
_LONG_LIST, _SECONDS = 1000, 30


def define_flags() -> None:
    flags.DEFINE_string("model_dir", DEFAULT_PRESET, "Name of a preset, or model directory of a run.")
    flags.DEFINE_string("model", None, "softmax, devise, conse or another model that it has; by default its best one.")
    flags.DEFINE_string("labels", None, "Labels to choose from, separated by commas; by default the model's own.")
    flags.DEFINE_string("labels_file", None, "File of labels: lines `id<TAB>term, term`, just terms, or a .csv.")
    flags.DEFINE_string("candidates", None, "A list of labels: imagenet1k, imagenet21k, wordnet or wordnet:DIR.")
    flags.DEFINE_integer("top_k", 5, "Number of labels to print a photo, the best first.", lower_bound=1)
    flags.DEFINE_enum("format", "table", ["table", "json", "csv"], "Form of the answers.")
    flags.DEFINE_string("embeddings", None, "File (.npz) to write the photos' embeddings to.")
    flags.DEFINE_integer("batch_size", 64, "Photos at once.", lower_bound=1)


def list_photos(arguments: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The photos that arguments name.

    Args:
        arguments: Files, `-`, folders, and patterns where there is no file of that name. A folder that a pattern
            matches counts as if it were named, unless `**` is in the pattern, which looks into folders itself.

    Returns:
        Paths, each once, those of a folder or pattern sorted, and only those of its files that have the ending of an
        image; below a folder no name that begins with a dot. And pairs of what cannot be listed and why.
    """
    from devise_tf.images.photo import EXTENSIONS

    paths, failures = [], []

    def is_image(name):
        return name.lower().endswith(EXTENSIONS)

    def walk(folder):
        found = []

        def failed(error):
            failures.append((error.filename, error.strerror))

        for above, folders, files in os.walk(folder, onerror=failed):
            folders[:] = [name for name in folders if not name.startswith(".")]
            named = (name for name in files if not name.startswith(".") and is_image(name))
            found += [os.path.join(above, name) for name in named]
        if not found:
            failures.append((folder, f"no photo is below this folder ({', '.join(EXTENSIONS)})"))
        return sorted(found)

    for argument in arguments:
        path = os.path.expanduser(argument)
        matches = [] if argument == "-" or os.path.lexists(path) else sorted(glob.glob(path, recursive=True))
        if not matches:  # a file, which may not be there
            paths += walk(path) if argument != "-" and os.path.isdir(path) else [path]
            continue
        recursive = "**" in path.split(os.sep)
        matches = [m for m in matches if (not recursive if os.path.isdir(m) else is_image(m))]
        if not matches:
            failures.append((argument, f"no photo matches this pattern ({', '.join(EXTENSIONS)})"))
        for match in matches:
            paths += walk(match) if os.path.isdir(match) else [match]
    return list(dict.fromkeys(paths)), failures


class Printer:
    """Prints answers and failures as they come, with a progress bar between them where one looks at a terminal.

    Args:
        form: `"table"`, `"json"` or `"csv"`.
        total: Number of photos.

    Attributes:
        failed: Whether any photo was not answered.
    """

    def __init__(self, form: str, total: int):
        self.form, self.total, self.failed = form, total, False
        self.done, self.start = 0, time.monotonic()
        self.shown, self.width = self.start, 0
        self.terminal = sys.stderr.isatty()
        if form != "table":
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")
        # A file's name may hold what no encoding has.
        sys.stdout.reconfigure(errors="backslashreplace")
        sys.stderr.reconfigure(errors="backslashreplace")
        if form == "csv":
            self.csv = csv.writer(sys.stdout, lineterminator="\n")
            self.csv.writerow(_FIELDS)

    def answer(self, name: str, answers: list) -> None:
        if self.form == "table":
            named = [answer.label for answer in answers]
            # Labels may share their first term: "crane", the bird and the machine.
            shown = [f"{a.label} ({a.id})" if named.count(a.label) > 1 else a.label for a in answers]
            width = max(map(len, shown))
            rows = (f"  {label:<{width}}  {a.score:7.3f}" for label, a in zip(shown, answers, strict=True))
            print("\n".join([name, *rows]))
        elif self.form == "json":
            labels = [{"label": a.label, "score": _short(a.score), "id": a.id} for a in answers]
            print(json.dumps({"file": name, "labels": labels}, ensure_ascii=False))
        else:
            rows = enumerate(answers, start=1)
            self.csv.writerows([name, rank, a.label, _short(a.score), a.id, ""] for rank, a in rows)

    def fail(self, name: str, message: str) -> None:
        self.failed = True
        sys.stdout.flush()
        print(f"Error: {name}: {message}", file=sys.stderr, flush=True)
        if self.form == "json":
            print(json.dumps({"file": name, "error": message}, ensure_ascii=False))
        elif self.form == "csv":
            self.csv.writerow([name, "", "", "", "", message])

    def progress(self, more: int) -> None:
        """Says that so many more photos are done."""
        sys.stdout.flush()
        self.done += more
        now = time.monotonic()
        rate = self.done / max(now - self.start, 1e-9)
        text = f"{self.done} of {self.total} photos, {rate:.1f} a second"
        if self.terminal and self.done < self.total:
            filled = 30 * self.done // self.total
            text = f"[{'=' * filled}{' ' * (30 - filled)}] {text}"
            self.width = len(text)
            print(f"\r{text}", end="", file=sys.stderr, flush=True)
        elif not self.terminal and self.total >= _LONG_LIST and now - self.shown > _SECONDS:
            self.shown = now
            print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Takes the bar away, for what is printed next."""
        if self.width:
            print(f"\r{' ' * self.width}\r", end="", file=sys.stderr, flush=True)
            self.width = 0


def main(argv: list[str]) -> int:
    options = flags.FLAGS
    if not options["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of tags that no one asked for
    try:
        given = [f"--{name}" for name in ("labels", "labels_file", "candidates") if options[name].value is not None]
        if len(given) > 1:
            raise ValueError(f"Give one list of labels. Received: {', '.join(given)}")
        if len(argv) < 2 or argv[1:].count("-") > 1:
            raise ValueError(f"Name a photo at least, and `-` once; --help shows examples. Received: {argv[1:]}")
        output = None if options.embeddings is None else os.path.abspath(os.path.expanduser(options.embeddings))
        if output is not None and (os.path.isdir(output) or not os.path.isdir(os.path.dirname(output))):
            raise ValueError(
                f"`embeddings` must name a file in a folder that is there. Received: {options.embeddings!r}"
            )
        texts = None if options.labels is None else [text.strip() for text in options.labels.split(",")]
        if texts is not None and not any(texts):
            raise ValueError(f"`labels` must name a label at least. Received: --labels={options.labels!r}")

        from devise_tf import models

        labels = _listed_labels(options) if texts is None else [text for text in texts if text]
        predictor = models.load(options.model_dir, options.model)
        found = predictor.known(labels)
    except (ValueError, OSError) as error:
        return _usage(error)
    _say_what_is_left_out(found, labels or predictor.labels, predictor.model)
    paths, failures = list_photos(argv[1:])
    printer = Printer(options.format, len(paths))
    try:
        for name, message in failures:
            printer.fail(name, message)
        _predict(predictor, labels, paths, output, printer)
        sys.stdout.flush()
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return int(printer.failed)


def _predict(predictor, labels, paths, output, printer):
    import numpy as np

    from devise_tf.files import atomic_write

    names, rows = [], []
    batches = predictor.prepared(_Photos(paths), flags.FLAGS.batch_size, paths)
    with contextlib.closing(batches):
        for start, batch in zip(range(0, len(paths), flags.FLAGS.batch_size), batches, strict=True):
            good = [image for image in batch if not isinstance(image, Exception)]
            answers, embeddings = iter(()), ()
            if good:
                answers, embeddings = predictor.predict_pixels(np.stack(good), labels, flags.FLAGS.top_k)
                answers = iter(answers)
            printer.clear()
            for name, image in zip(paths[start:], batch, strict=False):
                if isinstance(image, Exception):
                    printer.fail(name, _message(image, name))
                else:
                    printer.answer(name, next(answers))
                    names.append(name)
            if output is not None:
                rows.extend(embeddings)
            printer.progress(len(batch))
    printer.clear()
    if output is not None:
        table = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
        with atomic_write(output) as file:
            np.savez(file, names=np.array(names, str), embeddings=table)


class _Photos:
    """The photos behind paths; that of the standard input is read when it is asked for."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, place):
        from devise_tf.images.photo import MAX_BYTES

        return sys.stdin.buffer.read(MAX_BYTES + 1) if self.paths[place] == "-" else self.paths[place]


def _listed_labels(options):
    """The labels of a file or list that flags name, or None."""
    from devise_tf.labels.open_labels import open_labels
    from devise_tf.labels.wordnet_labels import wordnet_labels

    if options.labels_file is not None:
        return open_labels(options.labels_file, "labels_file")
    if options.candidates is None:
        return None
    kind, _, folder = options.candidates.partition(":")
    if options.candidates in _LISTS:
        return open_labels(_LISTS[options.candidates], "candidates")
    if kind != "wordnet":
        known = ", ".join([*_LISTS, "wordnet", "wordnet:DIR"])
        raise ValueError(f"`candidates` must be one of {known}. Received: --candidates={options.candidates}")
    try:
        return wordnet_labels(folder or None)
    except FileNotFoundError as error:
        raise ValueError(
            f"{str(error).partition(' Install it')[0]} Install it (Debian: `apt install wordnet-base`), or name its "
            f"folder: --candidates=wordnet:DIR. Received: --candidates={options.candidates}"
        ) from error


def _say_what_is_left_out(found, labels, model):
    """Names the labels that are unknown or repeated."""
    unknown = found.unknown[:_SHOWN]
    if hasattr(labels, "terms"):  # a label's id may say nothing
        unknown = [f"{label} ({labels.terms[labels.index[label]][0]})" for label in unknown]
    for why, left_out, count in (
        (f"unknown to {model}", unknown, len(found.unknown)),
        ("said before", found.repeated[:_SHOWN], len(found.repeated)),
    ):
        if count:
            more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
            print(f"Left out, {why}: {', '.join(left_out)}{more}", file=sys.stderr, flush=True)


def _message(error, name):
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error).removeprefix(f"{name}: ")


def _short(score):
    """A score with the digits that float32 has."""
    return float(f"{score:.7g}")


def _usage(error):
    print(f"Error: {error}", file=sys.stderr)
    return 2


def _parse(argv):
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(_usage(error))


def run() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    define_flags()
    app.run(main, flags_parser=_parse)


if __name__ == "__main__":
    run()
