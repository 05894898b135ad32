"""Labels of WordNet's noun synsets."""

import os
import re

from devise_tf.labels.label_set import LabelSet
from devise_tf.labels.wordnet_files import find_wordnet

# A synset's number, its file's, its part of speech, and how many terms it has, in hexadecimal.
_HEAD = re.compile(r"\d{8} \d\d n [0-9a-f]{2} ")


def wordnet_labels(directory: str | os.PathLike | None = None) -> LabelSet:
    """All noun synsets with all their terms (`n02084071`: "dog", "domestic dog", "Canis familiaris").

    Args:
        directory: Folder of the file `data.noun`, or None to look where `find_wordnet` does.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line is not a synset's, or there is none; the file and the line are named.
    """
    ids, terms = [], []
    path = find_wordnet(directory)
    # Bytes that are not UTF-8 become what is not printable.
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if line.startswith(" "):  # the licence
                continue
            fields = line.split(" ")
            # Behind the head are the terms, each with a number of its own.
            end = 4 + 2 * int(fields[3], 16) if _HEAD.match(line) else 0
            words = [word.replace("_", " ") for word in fields[4:end:2]]
            if not words or len(fields) <= end or not all(word and word.isprintable() for word in words):
                raise ValueError(
                    f"{path}, line {number}: expected a synset as in WordNet's `data.noun`. Received: {line[:80]!r}"
                )
            ids.append(f"n{fields[0]}")
            terms.append(words)
    if not ids:
        raise ValueError(f"{path}: expected synsets as in WordNet's `data.noun`. Received: directory={directory!r}")
    return LabelSet(ids, terms)
