"""The hierarchy of labels: parent lists and WordNet files."""

import os
from collections.abc import Iterable, Mapping
from functools import cached_property

from absl import logging

from devise_tf.files import atomic_write
from devise_tf.labels.text_lines import read_lines
from devise_tf.labels.wordnet import WORDNET_VERSION, find_wordnet, noun_synsets, wordnet_version
from devise_tf.packaged import packaged_files


class Hierarchy:
    """A directed acyclic graph of ids, from children to their parents.

    Its nodes are labels and whatever lies between and above them. An id may have several parents (WordNet's do), and
    several roots are fine.

    Args:
        parents: Mapping from str to strs. For an id its parents' ids; a root has none, or is left out. Ids that only
            appear as parents become nodes.
        source: str. Where it comes from, for messages.

    Attributes:
        parents: Dict from each id to the sorted list of its parents.
        neighbors: Dict from each id to the sorted list of the ids one hop away, up or down: the undirected graph of
            hierarchical precision.

    Raises:
        ValueError: There are no nodes, or there is a cycle, which is named.

    Example:

    >>> tree = Hierarchy({"leopard": ["cat"], "lion": ["cat"], "cat": ["animal"]})
    >>> tree.neighbors["cat"]
    ['animal', 'leopard', 'lion']
    >>> sorted(tree.ancestors("lion"))
    ['animal', 'cat']
    """

    def __init__(self, parents: Mapping[str, Iterable[str]], source: str = ""):
        if not parents:
            raise ValueError(f"`parents` must hold at least one id. Received: parents={parents}")
        self.source = source
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
        result = {label: set(above) for label, above in self.parents.items()}
        for child, above in self.parents.items():
            for parent in above:
                result[parent].add(child)
        return {label: sorted(around) for label, around in result.items()}

    def ancestors(self, label: str) -> set[str]:
        """All ids above `label`; it is not its own ancestor."""
        if label not in self.parents:
            raise ValueError(f"`label` must be an id of the hierarchy. Received: label={label!r}")
        result, edge = set(), [label]
        while edge:
            above = [p for p in self.parents[edge.pop()] if p not in result]
            result.update(above)
            edge += above
        return result

    def restricted_to(self, ids: Iterable[str]) -> "Hierarchy":
        """The part of the hierarchy that holds `ids` and all their ancestors."""
        ids = self._known(ids)
        keep = set(ids).union(*(self.ancestors(i) for i in ids))
        return Hierarchy({i: above for i, above in self.parents.items() if i in keep}, self.source)

    def within(self, ids: Iterable[str], hops: int) -> list[str]:
        """All ids at most `hops` links, up or down, from one of `ids`: these and others, in order."""
        if hops < 0:
            raise ValueError(f"`hops` must not be negative. Received: hops={hops}")
        result = edge = set(self._known(ids))
        for _ in range(hops):
            edge = {near for label in edge for near in self.neighbors[label]} - result
            result = result | edge
        return sorted(result)

    def _known(self, ids: Iterable[str]) -> list[str]:
        ids = list(dict.fromkeys(ids))
        unknown = [i for i in ids if i not in self.parents]
        if unknown:
            raise ValueError(
                f"{len(unknown)} of the {len(ids)} ids are not in the hierarchy{self.source and f' ({self.source})'}: "
                f"{', '.join(map(repr, unknown[:10]))}{', …' if len(unknown) > 10 else ''}. "
                "Remove them, or give a hierarchy that holds them (a file of `parent child` lines). "
                f"Received: ids={unknown[:10]}"
            )
        return ids

    @classmethod
    def open(cls, spec: str | os.PathLike) -> "Hierarchy":
        """Opens the hierarchy that a command line names.

        Args:
            spec: str or path. A file of `parent child` lines, `"wordnet"`, `"wordnet:DIR"`, or the name of a hierarchy
                that comes with the package (`"imagenet"`). If there is a file of that name, too, it is opened.

        Raises:
            ValueError: There is no such hierarchy, or its file is malformed.
            FileNotFoundError: WordNet's files are missing.
        """
        spec = os.path.expanduser(os.fspath(spec))
        kind, _, directory = spec.partition(":")
        if kind == "wordnet":
            return cls.from_wordnet(directory or None)
        in_package = packaged_files("hierarchy")
        path = spec if os.path.isfile(spec) else in_package.get(spec)
        if path is None:
            raise ValueError(
                "A hierarchy must be a file of `parent child` lines, `wordnet`, `wordnet:DIR`, or the name of one that "
                f"comes with the package ({', '.join(in_package)}); there is none of this name: correct it. "
                f"Received: hierarchy={spec!r}"
            )
        return cls.from_file(path)

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> "Hierarchy":
        """Reads `parent child` lines, whitespace between; text after `#` is a comment."""
        parents: dict[str, list[str]] = {}
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
            return cls(parents, os.fspath(path))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def from_wordnet(cls, directory: str | os.PathLike | None = None) -> "Hierarchy":
        """The nouns of WordNet, ids as ImageNet writes them (`n02084071`).

        Links are hypernyms and instance hypernyms. ImageNet's ids are those of WordNet 3.0: other versions number their
        synsets differently. In a folder that is named another version is opened, with a warning.

        Args:
            directory: Path or None. Folder of the file `data.noun`, or that of WordNet, which has it in `dict`; None to
                look where `find_wordnet` says.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is not WordNet's.
        """
        path = find_wordnet(directory)
        version = wordnet_version(path) or WORDNET_VERSION
        source = f"WordNet {version}"
        if version != WORDNET_VERSION:
            source += f", whose ids are not those of WordNet {WORDNET_VERSION} and of ImageNet"
            logging.warning("%s is %s: labels that are numbered by the latter have other meanings there", path, source)
        return cls({synset.id: synset.parents for synset in noun_synsets(path)}, source)

    def save(self, path: str | os.PathLike) -> None:
        """Writes `parent child` lines that `from_file` reads back, atomically.

        Ids without any link have no line in such a file.
        """
        for label in self.parents:
            if "#" in label or label.split() != [label]:
                raise ValueError(f"A hierarchy file cannot hold an id with whitespace or `#`. Received: id={label!r}")
        with atomic_write(path) as file:
            for child, above in self.parents.items():
                file.writelines(f"{parent} {child}\n".encode() for parent in above)


def _find_cycle(parents: Mapping[str, list[str]]) -> list[str]:
    # Depth-first with an explicit stack: chains may be longer than Python's recursion limit.
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
