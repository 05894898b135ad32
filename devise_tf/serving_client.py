"""Asks a running model server what is in photos.

  python -m devise_tf.serving_client PHOTO… [flags]

The server: TensorFlow Serving, or another with its interface, with a model of `python -m devise_tf.export`, on --host
and --port, by --protocol=grpc or rest, under --model_name.

  the labels of the export    python -m devise_tf.serving_client photo.jpg
  labels of your own          python -m devise_tf.serving_client photo.jpg more.png --labels="snow leopard, cat"
  labels of a file            python -m devise_tf.serving_client photo.jpg --labels_file=labels.txt
  REST, for a program         python -m devise_tf.serving_client *.jpg --protocol=rest --json

Photos are read as by `devise_tf.predict`: those that are turned, transparent or of a format that exports do not read
are sent as PNG, all others as they are.

--labels holds labels between commas. --labels_file (or `@` and the file in --labels) is a list of labels in any form
that the other commands read; of each label the first term counts.

A table of labels and scores a photo goes to the standard output; a label with a word that the model does not know is
`unknown`. With --json it is a line a photo: `{"file": …, "labels": [{"label": …, "score": …, "known": …}, …]}`, or
`{"file": …, "error": {"code": …, "message": …}}`. A photo that fails does not stop the others; where the server
cannot be reached from the start, they are not sent. The exit status is 0 if all were answered, 1 if any was not, 2 if
the command line is wrong.
"""

import importlib.util
import json
import os
import sys
import types
from typing import NamedTuple

from absl import flags

from devise_tf import command
from devise_tf.labels.open_labels import open_labels

# Failures that are the server's, not a photo's.
_SERVER_CODES = ("UNAVAILABLE", "NOT_FOUND", "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED")


class ScoredLabel(NamedTuple):
    label: str
    score: float
    known: bool


def define_flags(define: command.Definitions) -> None:
    define.string("host", "127.0.0.1", "Name or address of the server.")
    define.integer(
        "port", None, "Port of the server; 8500 for gRPC, 8501 for REST by default.", lower_bound=1, upper_bound=65535
    )
    define.enum("protocol", "grpc", ["grpc", "rest"], "Protocol of the port.")
    define.string("model_name", "devise", "Name of the model on the server.")
    define.integer("version", None, "Version of the model; by default the latest.", lower_bound=0)
    define.string("labels", None, "Labels between commas, or @FILE; by default those of the export.")
    define.string("labels_file", None, "List of labels; the same as --labels=@FILE.")
    define.integer("k", 5, "Number of labels to print a photo, the best first.", lower_bound=1)
    define.bool("json", False, "Print a line of JSON a photo.")
    define.float("timeout", 30.0, "Seconds for the answer to a photo, repeats included.", lower_bound=0.001)
    define.integer("retries", 3, "How often a request that fails for a passing reason is repeated.", 0)
    define.float("max_mb", 20.0, "Largest file to send, MB (10^6 bytes).", lower_bound=0)


def parse_labels(text: str) -> list[str]:
    """The labels that `--labels` names, without duplicates.

    Args:
        text: Labels between commas; or `@` and the path of a list of labels, of which the first terms are taken.

    Raises:
        ValueError: There are none, or the file is no list of labels.
    """
    if text.startswith("@"):
        labels = [terms[0] for terms in open_labels(os.path.expanduser(text[1:])).terms]
    else:
        labels = [label.strip() for label in text.split(",")]
    labels = list(dict.fromkeys(label for label in labels if label))
    if not labels:
        raise ValueError(f"--labels must name at least one label. Received: --labels={text!r}")
    return labels


def read_photo(path: str, max_mb: float) -> bytes:
    """The bytes of a file that is not larger than `max_mb` MB.

    Raises:
        ValueError: It is larger, or empty.
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(int(max_mb * 1e6) + 1)
        if len(data) > max_mb * 1e6:
            size = os.fstat(file.fileno()).st_size / 1e6
            raise ValueError(f"The file is larger than --max_mb={max_mb:g}; nothing was sent. Received: {size:.3g} MB")
    if not data:
        raise ValueError("The file is empty; nothing was sent. Received: 0 bytes")
    return data


def ask(client, photo: bytes, labels: list[str] | None, k: int) -> list[ScoredLabel]:
    """The `k` best labels of a photo, among `labels` or those of the export."""
    if labels is None:
        answer = client.predict([photo])
        known = [True] * answer["labels"].shape[1]
    else:
        answer = client.classify([photo], labels)
        known = answer["known"][0].tolist()
    scored = zip(answer["labels"][0].tolist(), answer["scores"][0].tolist(), known, strict=True)
    return [ScoredLabel(*row) for row in scored][:k]


def table(path: str, scored: list[ScoredLabel]) -> str:
    width = max((len(row.label) for row in scored), default=0)
    lines = [f"  {row.label:<{width}}  {f'{row.score:7.3f}' if row.known else 'unknown'}" for row in scored]
    return "\n".join([path, *lines])


def main(photos: list[str], values: flags.FlagValues) -> int:
    from devise_tf.export.client import ServingClient, ServingError

    with command.usage_errors():
        if not photos:
            raise ValueError("Name at least one photo; --help shows examples. Received: none")
        labels = _labels(values.labels, values.labels_file)
    client = ServingClient(
        values.host, values.port, values.protocol, values.model_name, values.version, values.timeout, values.retries
    )
    status, reached = 0, False
    with client:
        for index, path in enumerate(photos):
            try:
                scored = ask(client, read_photo(os.path.expanduser(path), values.max_mb), labels, values.k)
            except (ServingError, ValueError, OSError) as error:
                status = 1
                in_vain = getattr(error, "code", None) in _SERVER_CODES and not reached
                reached = reached or isinstance(error, ServingError)
                _report(path, error, photos[index + 1 :] if in_vain else [], values.json)
                if in_vain:
                    break
            else:
                reached = True
                print(_json(path, scored) if values.json else table(path, scored), flush=True)
    return status


def _labels(texts: str | None, path: str | None) -> list[str] | None:
    if texts is not None and path is not None:
        raise ValueError("Give one list of labels. Received: --labels, --labels_file")
    texts = texts if path is None else f"@{path}"
    return None if texts is None else parse_labels(texts)


def _json(path: str, scored: list[ScoredLabel]) -> str:
    return json.dumps({"file": path, "labels": [row._asdict() for row in scored]}, ensure_ascii=False)


def _report(path: str, error: Exception, not_sent: list[str], as_json: bool) -> None:
    """Says why a photo was not answered, and that others were not sent."""
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if not as_json:
        more = f" ({len(not_sent)} more not sent)" if not_sent else ""
        print(f"Error: {path}: {message}{more}", file=sys.stderr, flush=True)
        return
    failure = {"code": getattr(error, "code", "FILE"), "message": message}
    for failed in [path, *not_sent]:
        print(json.dumps({"file": failed, "error": failure}, ensure_ascii=False), flush=True)


def _skip_tensorflow() -> None:
    """Puts an empty package in the place of `tensorflow`, whose modules can still be found.

    The messages of TensorFlow Serving import those of TensorFlow, and with them all of TensorFlow: seconds, and
    hundreds of megabytes, of which nothing is used. Only for a process that is this command and nothing else.
    """
    spec = importlib.util.find_spec("tensorflow")
    if spec and spec.submodule_search_locations:
        package = types.ModuleType("tensorflow")
        package.__spec__, package.__path__ = spec, list(spec.submodule_search_locations)
        sys.modules["tensorflow"] = package


def run(argv: list[str] | None = None) -> int:
    if argv is None:
        _skip_tensorflow()
    return command.run(main, define_flags, __doc__, argv, accepts="arguments")


if __name__ == "__main__":
    sys.exit(run())
