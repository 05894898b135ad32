"""A small run and images to evaluate, and changes to them."""

import json
import pathlib
import shutil

import numpy as np
from PIL import Image

from devise_tf.evaluation.evaluate_runs import evaluate_runs
from devise_tf.evaluation.settings import EvaluationSettings
from tests.helpers.tiny_model_dir import RESIZE_SIZE

# Of each label the term that answers for it; no vector is there for "ounce", and "red panda" is made of its words.
ANSWERS = {"n1": ["snow_leopard"], "n2": ["cat"], "n3": ["dog"], "n4": ["red", "panda"], "n5": ["zebra"]}
PARENTS = "root cats\nroot dogs\ncats n1\ncats n2\ndogs n3\nroot n4\nroot n5\n"
# Images of each label: a model that always gives the same answer has a figure that tells which.
COPIES = {"n1": 2, "n2": 3, "n3": 4, "n4": 5, "n5": 6}


def write_images(folder, labels):
    rng = np.random.default_rng(0)
    for label in labels:
        (folder / "val" / label).mkdir(parents=True)
        for number in range(COPIES.get(label, 3)):
            pixels = rng.integers(0, 256, (RESIZE_SIZE, RESIZE_SIZE, 3)) * rng.uniform(0.2, 1, 3)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "val" / label / f"{number}.png")


def contents(folder):
    return {path: path.read_bytes() for path in pathlib.Path(folder).rglob("*") if path.is_file()}


def run(folder, **changes):
    settings = {"model_dirs": [str(folder / "run")], "hierarchy": str(folder / "parents.txt"), "verbose": 0}
    evaluate_runs(EvaluationSettings(**settings | changes), "the command")
    report = changes.get("report_dir") or folder / "run" / "report"
    return json.loads((pathlib.Path(report) / "metrics.json").read_text())


def save_ids(path, ids):
    path.write_text("".join(f"{label}\n" for label in ids))
    return str(path)


def second_run(folder, **flags):
    shutil.copytree(folder / "run", folder / "second")
    path = folder / "second" / "flags.txt"
    lines = [line for line in path.read_text().splitlines() if line[2:].partition("=")[0] not in flags]
    path.write_text("".join(f"{line}\n" for line in [*lines, *(f"--{name}={value}" for name, value in flags.items())]))
    return [str(folder / "run"), str(folder / "second")]


def new_labels(folder, labels, listed=""):
    (folder / "terms.txt").write_text(listed or "n1\tcat\n")
    return {"unseen_labels": save_ids(folder / "ids.txt", labels)} | (
        {"labels": str(folder / "terms.txt")} if listed else {}
    )
