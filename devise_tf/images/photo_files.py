"""The photos that a command line names."""

import glob
import itertools
import os

from devise_tf.images.left_out import LeftOut, has_image_ending, is_image, is_system


def list_photos(arguments: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The photos that arguments name.

    Args:
        arguments: List of strings. Files, `-`, folders, and patterns where there is no file of that name. A folder that
            a pattern matches counts as if it were named, unless `**` is in the pattern, which looks into folders
            itself.

    Returns:
        Paths, each once, those of a folder or pattern sorted, and only those of its files that have the extension of an
        image; below a folder nothing that is hidden or of the system. What a folder leaves out is logged. And pairs of
        what cannot be listed and why.
    """
    paths: list[str] = []
    failures: list[tuple[str, str]] = []
    for argument in arguments:
        path = os.path.expanduser(argument)
        if argument == "-":
            paths.append(argument)
        elif os.path.isdir(path):
            paths += _below(path, failures)
        elif os.path.lexists(path):
            paths.append(path)
        else:
            paths += _matching(path, argument, failures)
    return list(dict.fromkeys(paths)), failures


def _matching(pattern: str, argument: str, failures: list[tuple[str, str]]) -> list[str]:
    matches = sorted(glob.glob(pattern, recursive=True))
    if not matches:  # a file, which may not exist
        return [pattern]
    recursive = "**" in pattern.split(os.sep)
    matches = [match for match in matches if (not recursive if os.path.isdir(match) else has_image_ending(match))]
    if not matches:
        failures.append((argument, "no photo matches this pattern (.jpg, .png, .webp, …)"))
    paths: list[str] = []
    for match in matches:
        paths += _below(match, failures) if os.path.isdir(match) else [match]
    return paths


def _below(folder: str, failures: list[tuple[str, str]]) -> list[str]:
    """The photos of a folder and those below it, sorted."""
    paths: list[str] = []
    left_out = LeftOut(folder)
    for parent, folders, files in os.walk(folder, onerror=lambda e: failures.append((e.filename, str(e.strerror)))):
        for name in (*filter(is_system, folders), *itertools.filterfalse(is_image, files)):
            left_out.add(name)
        folders[:] = itertools.filterfalse(is_system, folders)
        paths += [os.path.join(parent, name) for name in filter(is_image, files)]
    left_out.log()
    if not paths:
        failures.append((folder, "no photo is below this folder (.jpg, .png, .webp, …)"))
    return sorted(paths)
