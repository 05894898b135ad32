"""Names of WordNet's noun synsets."""

import os

from devise_tf.labels.wordnet_files import find_wordnet


def wordnet_names(directory: str | os.PathLike | None = None) -> dict[str, str]:
    """The first term of each noun synset by its id (`n02084071`: "dog").

    Args:
        directory: Folder of the file `data.noun`, or None to look where `find_wordnet` does.

    Returns:
        The names; none if there is no such file.
    """
    try:
        path = find_wordnet(directory)
    except FileNotFoundError:
        return {}
    with open(path, encoding="utf-8") as file:
        fields = (line.split(" ", 5) for line in file if not line.startswith(" "))  # the licence does
        return {f"n{field[0]}": field[4].replace("_", " ") for field in fields if len(field) == 6}
