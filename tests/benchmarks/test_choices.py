"""The benchmarks that settings of phase 3 and label vectors are chosen by."""

import numpy as np
import pytest
from PIL import Image

from devise_tf import command
from tests.benchmarks import named_photos, projection_choice
from tests.benchmarks.projection_choice import Choice, Photos, figures, parse, train
from tests.benchmarks.test_scripts import run

IDS = ["n01440764", "n01443537", "n02084071"]


def photos_in(folder, labels, count):
    rng = np.random.default_rng(0)
    for number, label in enumerate(labels):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 90, (40, 40, 3)) + 70 * np.eye(3, dtype=int)[number % 3]
            Image.fromarray(pixels.astype("uint8")).save(folder / label / f"{i}.png")


def test_settings_are_all_combinations():
    assert parse("") == [Choice()]
    assert parse("loss=one,margin=0.1/1,epochs=2") == [
        Choice(loss="one", margin=margin, epochs=2.0) for margin in (0.1, 1.0)
    ]
    with pytest.raises(command.UsageError, match="`settings` has no 'speed'"):
        parse("loss=one,speed=3")
    assert projection_choice.describe(Choice(rate=1.0)) == "rate=1.0"
    assert projection_choice.describe(Choice()) == "defaults"


@pytest.mark.parametrize("loss", ["softmax", "one", "l2", "linear"])
def test_kernels_tell_labels_apart(loss):
    """On features that lie along one direction a label every loss finds all of them."""
    rng = np.random.default_rng(1)
    directions, vectors = np.eye(6)[:4], np.linalg.qr(rng.normal(size=(5, 5)))[0][:4].astype(np.float32)
    labels = np.repeat(np.arange(4), 40).astype(np.int32)
    photos = Photos((directions[labels] + rng.normal(0, 0.05, (160, 6))).astype(np.float32), labels)
    kernel = train(Choice(loss=loss, margin=1.0, epochs=20.0, ridge=1e-4), photos, vectors, seed=0)
    line = figures(photos, kernel, None if loss == "linear" else vectors, None)
    assert line == ["100.0"] * 3
    if loss == "l2":
        expected = np.linalg.lstsq(photos.features, vectors[labels], rcond=None)[0]
        np.testing.assert_allclose(kernel, expected, atol=0.05)


def test_general_names():
    """The broad name above a label, if it is one alone."""
    labels = ["n02110958", "n02123045", "n04285008", "n02084071"]  # pug, tabby, sports car, dog
    assert named_photos.general_names(labels, ["dog", "cat", "vehicle"]) == ["dog", "cat", "vehicle", ""]
    assert named_photos.general_names(labels[:1], ["dog", "animal"]) == [""]
    assert named_photos.others("", ["pug"]) == []
    beside = named_photos.others("imagenet1k", ["Pug", "tench"])
    assert "pug" not in beside and "tench" not in beside and "goldfish" in beside


@pytest.mark.soak
def test_projection_choice(tmp_path):
    for split, count in (("train", 5), ("val", 2)):
        photos_in(tmp_path / split, IDS, count)
    (tmp_path / "unseen.txt").write_text(f"{IDS[2]}\n")
    done = run(
        "projection_choice",
        *(f"--images=folder:{tmp_path}", f"--unseen_labels={tmp_path / 'unseen.txt'}", "--hierarchy=imagenet"),
        *("--labels_file=imagenet21k", "--image_size=32", "--train_images=3", "--held_out=2", "--report"),
        "--settings=loss=linear,epochs=2;label_terms=random;loss=l2,ridge=0.1",
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| l")]
    assert [row.split("|")[2].strip() for row in rows if "loss=l2" in row] == ["held-out", "val", "unseen"]
    assert [row.split("|")[2].strip() for row in rows if "loss=linear" in row] == ["held-out", "val"]


@pytest.mark.soak
def test_named_photos(tmp_path):
    photos_in(tmp_path, ["goldfish", "sports_car"], 2)
    done = run("named_photos", f"--photos={tmp_path}", "--models=profiles", "--beside=imagenet1k", "--each")
    assert done.returncode == 0, done.stderr
    assert "4 photos, 2 names, the labels of imagenet1k beside them" in done.stdout
    assert "sports car" in done.stdout and "| profiles |" in done.stdout
