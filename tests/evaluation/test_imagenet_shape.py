"""Training and evaluation on folders of ImageNet's shape, with its labels, label lists and hierarchy."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from devise_tf.config import Config
from devise_tf.evaluation.evaluate_runs import evaluate_runs
from devise_tf.evaluation.figures import paper
from devise_tf.evaluation.report import label_map as mapping
from devise_tf.evaluation.settings import EvaluationSettings
from devise_tf.labels import LabelSet
from devise_tf.packaged import packaged_path
from devise_tf.training import make_strategy, train
from tests.helpers import tiny_run  # noqa: F401 (registers the tiny visual models)

SIDE = 16
LABELS_21K = "models/imagenet/labels_21k.txt"


def jpeg(seed):
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE + 4, 3), np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def write_images(root, labels, count=1):
    pictures = [jpeg(seed) for seed in range(8)]
    for number, label in enumerate(labels):
        folder = root / label
        folder.mkdir(parents=True)
        for i in range(count):
            (folder / f"{label}_{i}.JPEG").write_bytes(pictures[(number + i) % len(pictures)])


def report_of(directory):
    with open(os.path.join(directory, "metrics.json"), encoding="utf-8") as file:
        return json.load(file)


@pytest.fixture(scope="module", autouse=True)
def small_maps():
    """t-SNE of all labels would take more time than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapping, "MAX_POINTS", 300)
        yield


@pytest.fixture(scope="module")
def ids():
    """The labels of ILSVRC-2012, and those of ImageNet-21K that are not among them."""
    trained = LabelSet.load(packaged_path("models/imagenet/labels_1k.txt")).ids
    every = LabelSet.load(packaged_path(LABELS_21K)).ids
    others = [label for label in every if label not in set(trained)]
    assert (len(trained), len(every), len(others)) == (1000, 21841, 20842)
    return trained, others


@pytest.fixture(scope="module")
def ilsvrc(tmp_path_factory, ids):
    """A run on one image of each of the 1,000 labels, with the report of its 1,000 `val` images.

    The report takes these for the published validation set, which has 50 of each.
    """
    folder = tmp_path_factory.mktemp("imagenet")
    for split in ("train", "val"):
        write_images(folder / "ilsvrc" / split, ids[0])
    config = Config(
        model_dir=str(folder / "run"),
        vectors="label_terms_300",
        images=f"folder:{folder / 'ilsvrc'}",
        labels_file="models/imagenet/labels_1k.txt",
        hierarchy="imagenet",
        missing_labels="drop",
        image_size=SIDE,
        resize_size=SIDE,
        visual_model="resnet_tiny",
        cnn_epochs=0.5,
        cnn_batch_size=100,
        devise_batch_size=100,
        projection_epochs=0.5,
        finetune_epochs=0,
        random_models=0,
        verbose=0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paper, "VALIDATION_IMAGES", 1)
        train(config, make_strategy(config.strategy))
    return folder


def evaluate(folder, unseen, labels_with_images, **changes):
    (folder / "unseen.txt").write_text("# a list\n" + "".join(f"{label}\n" for label in unseen))
    images = folder / f"of_{len(labels_with_images)}_{len(unseen)}"
    write_images(images / "val", labels_with_images)
    settings = {
        "model_dirs": [str(folder / "run")],
        "images": f"folder:{images}",
        "labels": LABELS_21K,
        "unseen_labels": str(folder / "unseen.txt"),
        "hierarchy": "imagenet",
        "report_dir": str(folder / f"report_{len(unseen)}"),
        "batch_size": 100,
        "samples": 6,
        "verbose": 0,
    } | changes
    evaluate_runs(EvaluationSettings(**settings), "the command")
    return settings["report_dir"], report_of(settings["report_dir"])


def check_files(directory):
    assert sorted(os.listdir(directory)) == ["index.html", "metrics.json", "tables.md"]
    assert 50_000 < os.path.getsize(os.path.join(directory, "index.html")) < 5_000_000


@pytest.mark.slow
def test_the_1000_labels(ilsvrc):
    """Figures on the 1,000 labels stand beside the paper's Table 1."""
    check_files(ilsvrc / "run" / "report")
    report = report_of(ilsvrc / "run" / "report")
    assert report["paper"]["seen"]["softmax"]["hit@1"] == 0.556 and set(report["paper"]) == {"seen"}
    missing = report["coverage"]["missing"]
    assert report["images"] == {"seen": 1000 - missing}
    assert report["labels"]["seen"] == {"labels": 1000 - missing, "candidates": 1000 - missing}
    assert sum(report["coverage"][name] for name in ("first_whole", "other_whole", "composed", "missing")) == 1000
    assert any("the paper's training labels (Table 1)" in note for note in report["notes"])
    chance = report["seen"]["chance"]
    assert chance["hit@5"] == pytest.approx(5 / (1000 - missing))
    # The paper's mean sizes of the sets are 6.5, 12.5, 22.5 and 41.7 in ImageNet's graph.
    sizes = [chance[f"hp@{k}"] * (1000 - missing) for k in (2, 5, 10, 20)]
    assert sizes == pytest.approx([6.5, 12.5, 22.5, 41.7], rel=0.6) and sizes == sorted(sizes)
    tables = (ilsvrc / "run" / "report" / "tables.md").read_text()
    assert "paper: devise (1000-D)" in tables


@pytest.mark.slow
def test_a_few_unseen_labels(ilsvrc, ids):
    """A list of no size that the paper has, and other images of the 1,000 labels: its figures stay away."""
    trained, others = ids
    unseen = others[::70]
    directory, report = evaluate(ilsvrc, unseen, [*trained[:50], *unseen])
    check_files(directory)
    missing = report["coverage"]["missing"]
    assert 0 < report["labels"]["unseen"]["candidates"] <= len(unseen) == 298
    assert report["labels"]["unseen+seen"]["candidates"] == 1298 - missing
    assert report["labels"]["seen"]["candidates"] == 1298 - missing - report["labels"]["unseen"]["candidates"]
    assert report["images"]["unseen"] == report["images"]["unseen+seen"] == report["labels"]["unseen"]["labels"]
    assert report["paper"] == {}
    assert set(report["generalized"]) == {
        "softmax",
        "devise",
        "devise_projection",
        "conse",
        "conse_1",
        "conse_all",
        "chance",
    }
    assert report["unseen+seen"]["softmax"]["hit@20"] == 0 < report["unseen+seen"]["softmax"]["hp@20"] + 1
    assert any("No images of 950 labels" in note for note in report["notes"])
    assert not any("298 labels" in note for note in report["notes"])


@pytest.mark.soak
def test_all_of_imagenet_as_candidates(ilsvrc, ids):
    """All 20,842 others may be answered, images are there of some: not those that the paper measured."""
    trained, others = ids
    shown = [*trained[::50], *others[::100]]
    directory, report = evaluate(ilsvrc, others, shown, models=["softmax", "devise_projection", "conse"])
    check_files(directory)
    missing = report["coverage"]["missing"]
    assert report["labels"]["unseen+seen"]["candidates"] == 21842 - missing > 20000
    assert 150 < report["images"]["unseen"] <= 209 and report["images"]["seen"] <= 20
    assert report["paper"] == {}
    notes = "\n".join(report["notes"])
    assert "the public list of the rest of ImageNet-21K" in notes
    assert f"No images of {21842 - len(shown)} labels" in notes
    chance = report["unseen+seen"]["chance"]
    assert chance["hit@1"] == pytest.approx(1 / report["labels"]["unseen+seen"]["candidates"])
    # The paper's mean sizes are 5.4, 273.3, 317.4 and 350.6 in its graph.
    assert chance["hp@20"] > chance["hp@5"] > chance["hp@2"] > 2 * chance["hit@1"]
