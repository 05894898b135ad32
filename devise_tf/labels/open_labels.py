"""Files of labels, ids and hierarchies that a command line names."""

import os
import sys

from devise_tf.labels.descriptions import Descriptions
from devise_tf.labels.hierarchy import Hierarchy
from devise_tf.labels.label_file import read_label_file
from devise_tf.labels.label_set import LabelSet, load_ids
from devise_tf.packaged import existing_file, packaged_files, packaged_path


def open_labels(paths: str, flag: str = "labels_file") -> LabelSet:
    """Reads a label file, or several separated by commas, and says on the standard error what each was taken for.

    Of a label in several files the first one's terms count.
    """
    files = [paths] if os.path.isfile(packaged_path(paths)) else [path.strip() for path in paths.split(",")]
    first, *others = (_open(path, flag) for path in files)
    for labels in others:
        first = first.merged_with(labels)
    return first


def _open(path: str, flag: str) -> LabelSet:
    file = read_label_file(existing_file(path, flag))
    print(file, file=sys.stderr)
    return LabelSet(file.ids, file.terms)


def open_ids(path: str, flag: str) -> list[str]:
    """Reads a file of label ids that a command line names by `flag`."""
    return load_ids(existing_file(path, flag))


def open_descriptions(names: str) -> Descriptions:
    """Reads files of descriptions, or those that come with the package by their names, separated by commas."""
    in_package = packaged_files("descriptions")
    paths = [in_package.get(name, packaged_path(name)) for name in map(str.strip, names.split(","))]
    for path in paths:
        if not os.path.isfile(path):
            raise ValueError(
                "`descriptions` must name files that are there, or some that come with the package "
                f"({', '.join(in_package)}). Received: descriptions={path!r}"
            )
    return Descriptions.load(paths)


def open_hierarchy(name: str) -> Hierarchy:
    """Reads a hierarchy that a command line names: a file, one that comes with the package, or WordNet's."""
    return Hierarchy.open(packaged_path(name))
