"""Labels of WordNet's noun synsets."""

import os

from devise_tf.data.label_set import LabelSet
from devise_tf.data.wordnet_files import find_wordnet


def wordnet_labels(directory: str | os.PathLike | None = None) -> LabelSet:
    """All noun synsets with all their terms (`n02084071`: "dog", "domestic dog", "Canis familiaris").

    Args:
        directory: Folder of the file `data.noun`, or None to look where `find_wordnet` does.

    Raises:
        FileNotFoundError: There is no such file.
    """
    ids, terms = [], []
    with open(find_wordnet(directory), encoding="utf-8") as file:
        for line in file:
            fields = line.split(" ")
            if fields[0]:  # the lines of the licence begin with a space
                # Behind their number, in hexadecimal, are the terms, each with a number of its own.
                words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
                ids.append(f"n{fields[0]}")
                terms.append([word.replace("_", " ") for word in words])
    return LabelSet(ids, terms)
