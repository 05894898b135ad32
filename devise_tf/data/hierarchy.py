"""The hierarchy of labels: parent lists and WordNet files."""

import os
import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from devise_tf.data.label_set import read_lines
from devise_tf.text.files import atomic_write

SYSTEM_WORDNET = Path("/usr/share/wordnet")


class Hierarchy:
    """A directed acyclic graph of ids, from children to their parents.

    Its nodes are labels and whatever lies between and above them. An id may
    have several parents (WordNet's do), and several roots are fine.

    Args:
        parents: Dict from an id to the list of its parents' ids, `[]` or
            absent for a root. Ids that only appear as parents become nodes.

    Attributes:
        parents: Dict from each id to the sorted list of its parents.
        neighbors: Dict from each id to the sorted list of the ids one hop
            away, up or down: the undirected graph of hierarchical precision.

    Errors:
        `ValueError` for a hierarchy without nodes, and for a cycle, which is
        named.

    Example:

    >>> tree = Hierarchy({"leopard": ["cat"], "lion": ["cat"], "cat": ["animal"]})
    >>> tree.neighbors["cat"]
    ['animal', 'leopard', 'lion']
    >>> sorted(tree.ancestors("lion"))
    ['animal', 'cat']
    """

    def __init__(self, parents: Mapping[str, Iterable[str]]):
        if not parents:
            raise ValueError(f"`parents` must hold at least one id. Received: parents={parents}")
        self.parents = {child: sorted(set(above)) for child, above in parents.items()}
        for above in list(self.parents.values()):
            for parent in above:
                self.parents.setdefault(parent, [])
        cycle = _find_cycle(self.parents)
        if cycle:
            raise ValueError(
                "`parents` must not hold a cycle; remove one of its links. "
                f"Received: {' -> '.join(cycle)} (each arrow leads to a parent)"
            )

    def __len__(self) -> int:
        return len(self.parents)

    def __contains__(self, label: object) -> bool:
        return label in self.parents

    def __repr__(self) -> str:
        return f"<Hierarchy of {len(self)} ids>"

    @cached_property
    def neighbors(self) -> dict[str, list[str]]:
        found = {label: set(above) for label, above in self.parents.items()}
        for child, above in self.parents.items():
            for parent in above:
                found[parent].add(child)
        return {label: sorted(around) for label, around in found.items()}

    def ancestors(self, label: str) -> set[str]:
        """All ids above `label`; it is not its own ancestor."""
        if label not in self.parents:
            raise ValueError(f"`label` must be an id of the hierarchy. Received: label={label!r}")
        found, edge = set(), [label]
        while edge:
            above = [p for p in self.parents[edge.pop()] if p not in found]
            found.update(above)
            edge += above
        return found

    def restricted_to(self, ids: Iterable[str]) -> "Hierarchy":
        """The part of the hierarchy that holds `ids` and all their ancestors."""
        ids = list(dict.fromkeys(ids))
        unknown = [i for i in ids if i not in self.parents]
        if unknown:
            raise ValueError(
                f"{len(unknown)} of the {len(ids)} ids are not in the hierarchy: "
                f"{', '.join(map(repr, unknown[:10]))}{', …' if len(unknown) > 10 else ''}. "
                "Remove them, or give a hierarchy that holds them (a file of `parent child` lines). "
                f"Received: ids={unknown[:10]}"
            )
        keep = set(ids).union(*(self.ancestors(i) for i in ids))
        return Hierarchy({i: above for i, above in self.parents.items() if i in keep})

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> "Hierarchy":
        """Reads `parent child` lines, whitespace between; text after `#` is a comment."""
        parents = {}
        for number, line in read_lines(path):
            pair = line.split("#", 1)[0].split()
            if not pair:
                continue
            if len(pair) != 2:
                raise ValueError(f"{path}, line {number}: expected `parent child`. Received: {line!r}")
            parents.setdefault(pair[1], []).append(pair[0])
        if not parents:
            raise ValueError(f"{path} holds no `parent child` line. Received: path={os.fspath(path)!r}")
        try:
            return cls(parents)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def from_wordnet(cls, directory: str | os.PathLike | None = None) -> "Hierarchy":
        """The nouns of WordNet 3.0, ids as ImageNet writes them (`n02084071`).

        Links are hypernyms and instance hypernyms. WordNet 3.0 it must be for
        ImageNet's ids: other versions number their synsets differently.

        Args:
            directory: Folder of the file `data.noun`, or None to look in
                `/usr/share/wordnet` and in NLTK's `corpora/wordnet` folders.

        Reference:
            - [WordNet file formats](https://wordnet.princeton.edu/documentation/wndb5wn)
        """
        path = find_wordnet(directory)
        parents = {}
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.startswith(" "):  # the licence
                    continue
                try:
                    offset, above = _noun_line(line)
                except (ValueError, IndexError):
                    raise ValueError(
                        f"{path}, line {number}: not a line of WordNet's `data.noun`. Received: {line[:80]!r}"
                    ) from None
                parents[offset] = above
        if not parents:
            raise ValueError(f"{path} holds no synsets. Received: directory={directory!r}")
        return cls(parents)

    def save(self, path: str | os.PathLike) -> None:
        """Writes `parent child` lines that `from_file` reads back. Atomic.

        Ids without any link have no line in such a file.
        """
        for label in self.parents:
            if "#" in label or label.split() != [label]:
                raise ValueError(f"A hierarchy file cannot hold an id with whitespace or `#`. Received: id={label!r}")
        with atomic_write(path) as file:
            for child, above in self.parents.items():
                file.writelines(f"{parent} {child}\n".encode() for parent in above)


def _noun_line(line: str) -> tuple[str, list[str]]:
    # offset, file number, type, count of words (hexadecimal), words with a number each, count of pointers,
    # pointers of four fields (symbol, offset, part of speech, source and target), `|`, gloss
    fields = line.split(" | ", 1)[0].split()
    if fields[2] != "n":
        raise ValueError(fields[2])
    at = 4 + 2 * int(fields[3], 16)
    pointers = [fields[i : i + 4] for i in range(at + 1, at + 1 + 4 * int(fields[at]), 4)]
    return f"n{int(fields[0]):08d}", [f"n{int(p[1]):08d}" for p in pointers if p[0] in ("@", "@i") and p[2] == "n"]


def find_wordnet(directory: str | os.PathLike | None = None) -> Path:
    """The path of WordNet's `data.noun` in `directory`, or where Debian and NLTK put it.

    Raises:
        FileNotFoundError: it is not there.
    """
    folders = [Path(directory).expanduser()] if directory else _wordnet_folders()
    path = next((f / "data.noun" for f in folders if (f / "data.noun").is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"No WordNet file `data.noun` in {', '.join(map(str, folders))}. Install it (Debian: `apt install "
            "wordnet-base`; NLTK: `python -m nltk.downloader wordnet`, then unzip corpora/wordnet.zip), or name "
            "its folder with `--hierarchy=wordnet:DIR`, or give a file of `parent child` lines instead. "
            f"Received: directory={directory!r}"
        )
    return path


def _wordnet_folders() -> list[Path]:
    # The places where NLTK looks for its data.
    nltk = [Path(p) for p in os.environ.get("NLTK_DATA", "").split(os.pathsep) if p]
    nltk += [Path.home() / "nltk_data"]
    nltk += [Path(sys.prefix, sub) for sub in ("nltk_data", "share/nltk_data", "lib/nltk_data")]
    nltk += [Path(top, "nltk_data") for top in ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib")]
    return [SYSTEM_WORDNET, *(p / "corpora" / "wordnet" for p in nltk)]


def _find_cycle(parents: Mapping[str, list[str]]) -> list[str]:
    # Depth-first with a stack of its own: chains may be longer than Python's recursion limit.
    done = set()
    for start in parents:
        if start in done:
            continue
        path, on_path, todo = [start], {start}, [iter(parents[start])]
        while path:
            above = next(todo[-1], None)
            if above is None:
                todo.pop()
                done.add(path[-1])
                on_path.remove(path.pop())
            elif above in on_path:
                return [*path[path.index(above) :], above]
            elif above not in done:
                path.append(above)
                on_path.add(above)
                todo.append(iter(parents[above]))
    return []
