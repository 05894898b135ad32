"""Files of labels, ids and hierarchies that a command line names."""

import os

from devise_tf.labels.hierarchy import Hierarchy
from devise_tf.labels.label_set import LabelSet, load_ids
from devise_tf.packaged import existing_file, packaged_path


def open_labels(paths: str, flag: str = "labels_file") -> LabelSet:
    """Reads a label file, or several separated by commas; of a label in several of them the first one's terms count."""
    files = [paths] if os.path.isfile(packaged_path(paths)) else [path.strip() for path in paths.split(",")]
    labels = LabelSet.load(existing_file(files[0], flag))
    for path in files[1:]:
        labels = labels.merged_with(LabelSet.load(existing_file(path, flag)))
    return labels


def open_ids(path: str, flag: str) -> list[str]:
    """Reads a file of label ids that a command line names by `flag`."""
    return load_ids(existing_file(path, flag))


def open_hierarchy(name: str) -> Hierarchy:
    """Reads a hierarchy that a command line names: a file, one that comes with the package, or WordNet's."""
    return Hierarchy.open(packaged_path(name))
