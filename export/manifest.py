"""What is beside the graph of an exported version: where its files lie, and the manifest that says what they hold."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import IO, Any

from devise_tf.text.earlier_tokenizer import UNNORMALIZED_WORDS
from devise_tf.text.tokenizer import SENTENCEPIECE, TF_TEXT_TOKENIZERS, Tokenizer
from devise_tf.text.tokenizers import get_tokenizer, sentencepiece_tokenizer

MANIFEST_FILE = "assets.extra/devise.json"
LABELS_FILE = "assets.extra/labels.txt"
TERMS_FILE = "assets/terms.txt"
TOKENIZER_FILE = "assets.extra/tokenizer.model"
# What manifests of early versions leave out.
_DEFAULTS = {"label_terms": "first", "tokenizer": UNNORMALIZED_WORDS.name}


def read_manifest(version_dir: str, open_file: Callable[[str], IO] = open) -> dict[str, Any]:
    """The manifest of a version.

    | key | |
    |---|---|
    | `model`, `answers`, `k` | the settings of the export |
    | `missing_labels`, `label_terms`, `profile_temperature` | what label vectors are made of |
    | `penalty`, `trained_labels` | what trained labels lose beside others, if anything; these labels, terms by id |
    | `outputs` | a softmax's labels, by output |
    | `tokenizer` | the rule by which text becomes words; a model of SentencePiece lies in `TOKENIZER_FILE` |
    | `image_size`, `resize_size`, `preprocessing` | how images are prepared |
    | `dimension`, `terms`, `labels` | sizes |
    | `warmup_records` | number of requests in the warm-up file |
    | `devise_tf`, `tensorflow`, `keras` | versions of the packages that made it |
    | `files` | bytes and SHA-256 of every other file, by relative path |

    Args:
        version_dir: str. The version's directory.
        open_file: Callable. Opens a path for reading text; `tf.io.gfile.GFile` reads other file systems.

    Raises:
        OSError: It cannot be read.
    """
    with open_file(f"{version_dir}/{MANIFEST_FILE}") as file:
        return {**_DEFAULTS, **json.load(file)}


def version_tokenizer(version_dir: str, open_file: Callable[[str, str], IO] = open) -> Tokenizer:
    """The rule by which a version's text becomes words; see `read_manifest`."""
    name = read_manifest(version_dir, lambda path: open_file(path, "r"))["tokenizer"]
    if name != SENTENCEPIECE:
        return get_tokenizer(name)
    with open_file(f"{version_dir}/{TOKENIZER_FILE}", "rb") as file:
        return sentencepiece_tokenizer(file.read())


def import_operations(version_dir: str, open_file: Callable[[str], IO] = open) -> None:
    """Makes the operations known to this process that a version's graph needs beside TensorFlow's own."""
    try:
        manifest = read_manifest(version_dir, open_file)
    except OSError:  # a SavedModel of others
        return
    if manifest["tokenizer"] in TF_TEXT_TOKENIZERS:
        import tensorflow_text  # noqa: F401


def write_manifest(version_dir: str, facts: Mapping[str, object]) -> None:
    """Writes the manifest of a version, and the checksums of its files into it, when all others are there."""
    with open(os.path.join(version_dir, MANIFEST_FILE), "w", encoding="utf-8") as file:
        json.dump({**facts, "files": checksums(version_dir)}, file, indent=1)
        file.write("\n")


def checksums(version_dir: str) -> dict[str, dict[str, object]]:
    """Bytes and SHA-256 of the files of a version, by relative path; of all but the manifest, which holds them."""
    result = {}
    for top, _, names in sorted(os.walk(version_dir)):
        for name in sorted(names):
            path = os.path.join(top, name)
            relative = os.path.relpath(path, version_dir).replace(os.sep, "/")
            if relative != MANIFEST_FILE:
                with open(path, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                result[relative] = {"bytes": os.path.getsize(path), "sha256": digest}
    return result
