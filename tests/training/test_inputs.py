"""What a run is given: checked before anything is written, and held against what its directory has."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from devise_tf import text
from devise_tf.config import Config
from devise_tf.labels import LabelSet, load_ids
from devise_tf.training import make_strategy
from devise_tf.training.inputs import Inputs
from devise_tf.training.run import Run
from tests.helpers import tiny_run
from tests.helpers.tiny_run import SEEN, settings

ROOT = Path(__file__).resolve().parents[2]


def open_run(config):
    """Claims the model directory, as far as a run does before its first step."""
    return Run(Config(**config), make_strategy())


def contents(directory):
    return {path: path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()}


def write_labels(path, labels):
    path.write_text("".join(f"{label}\t{label}\n" for label in labels))
    return str(path)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return tiny_run.make_inputs(tmp_path_factory.mktemp("inputs"))


def copy_of(config, directory):
    """The settings of a copy of a run, with its inputs, that may be changed."""
    old, new = os.path.dirname(config["model_dir"]), str(directory)
    shutil.copytree(old, new, dirs_exist_ok=True)
    flags = directory / "run" / "flags.txt"
    flags.write_text(flags.read_text().replace(old, new))
    return {name: value.replace(old, new) if isinstance(value, str) else value for name, value in config.items()}


@pytest.mark.parametrize("finished", [pytest.param(True, marks=pytest.mark.slow), False])
def test_other_unseen_labels_are_refused_by_a_started_run(request, inputs, tmp_path, finished):
    if finished:
        config = copy_of(request.getfixturevalue("gaps_run"), tmp_path)
        unseen = tmp_path / "unseen.txt"
    else:
        unseen = tmp_path / "unseen.txt"
        unseen.write_text("fox\n")
        config = settings(inputs, tmp_path / "run", unseen_labels=str(unseen))
        open_run(config)
    before, old = contents(config["model_dir"]), unseen.read_text()
    unseen.write_text("fox\nrose\n")
    with pytest.raises(ValueError, match="holds a run with other labels or other unseen labels.*Received: model_dir="):
        tiny_run.start_run(config)
    assert contents(config["model_dir"]) == before
    unseen.write_text(old)
    open_run(config)


def test_other_terms_are_refused_by_a_started_run(inputs, tmp_path):
    labels = tmp_path / "labels.txt"
    config = settings(inputs, tmp_path / "run", labels_file=write_labels(labels, [*SEEN, "fox", "more"]))
    open_run(config)
    before = contents(config["model_dir"])
    labels.write_text(labels.read_text().replace("\tdog", "\tdog, hound"))
    with pytest.raises(ValueError, match="holds a run with other labels"):
        open_run(config)
    assert contents(config["model_dir"]) == before
    # What is not of this run's images may change.
    write_labels(labels, [*SEEN, "fox"])
    open_run(config)


def test_changed_text_is_refused_by_an_unfinished_phase_1(tmp_path):
    inputs = tiny_run.make_inputs(tmp_path)
    config = settings(inputs, tmp_path / "run", phase="skip_gram")
    tiny_run.start_run(config)
    os.remove(tmp_path / "run" / "vectors.bin")
    before = contents(tmp_path / "run")
    with open(inputs["corpus"], "a") as file:
        file.write("cat dog\n")
    with pytest.raises(ValueError, match="The text has changed since .*corpus.ids.* Received: corpus="):
        tiny_run.start_run(config)
    assert contents(tmp_path / "run") == before


def test_phrases_become_terms(tmp_path):
    inputs = tiny_run.make_inputs(tmp_path)
    with open(inputs["corpus"], "a") as file:
        file.write("fire tree\n" * 5 + "the fire tree cat\n" * 3 + "new dog york\n" * 9)
    labels = write_labels(tmp_path / "labels.txt", [*SEEN, "fox"])
    config = settings(inputs, tmp_path / "run", phase="skip_gram", phrases=2, phrase_threshold=20.0, labels_file=labels)
    tiny_run.start_run(config)
    vocabulary = text.Vocabulary.load(tmp_path / "run" / "vocabulary.txt")
    assert vocabulary.counts[vocabulary.index["fire_tree"]] == 8 and "fire" not in vocabulary.index
    assert "fire_tree" in text.load_vectors(tmp_path / "run" / "vectors.bin")[0]
    tiny_run.start_run(settings(inputs, tmp_path / "other", phase="skip_gram", labels_file=labels))
    assert not text.Vocabulary.load(tmp_path / "other" / "vocabulary.txt").phrases


def test_unseen_labels_without_images_are_named(inputs, tmp_path):
    (tmp_path / "unseen.txt").write_text("fox\nunicorn\n")
    labels = write_labels(tmp_path / "labels.txt", [*SEEN, "fox", "unicorn"])
    config = settings(inputs, tmp_path / "run", labels_file=labels, unseen_labels=str(tmp_path / "unseen.txt"))
    with pytest.raises(ValueError, match=r"1 of the 2 unseen labels have no images.*\['unicorn'\]"):
        open_run(config)
    assert not (tmp_path / "run" / "flags.txt").exists()


@pytest.mark.parametrize("unseen", [True, False])
def test_validation_labels_replace_the_unseen_ones(inputs, tmp_path, unseen):
    """No phase sees images of either; the report is of the validation labels alone."""
    (tmp_path / "validation.txt").write_text("rose\ncat\n")
    config = settings(inputs, tmp_path / "run", validation_labels=str(tmp_path / "validation.txt"))
    if not unseen:
        config["unseen_labels"] = ""
    run = open_run(config)
    seen = ["dog", "oak", "pine"] if unseen else ["dog", "fox", "oak", "pine"]
    assert (run.inputs.seen, run.inputs.unseen) == (seen, ["rose", "cat"])
    assert run.inputs.labels.ids == [*seen, "rose", "cat"]
    assert (tmp_path / "run" / "unseen_labels.txt").read_text() == "rose\ncat\n"
    assert LabelSet.load(tmp_path / "run" / "labels.txt").ids == [*seen, "rose", "cat"]
    # A run that goes on without them is another run.
    with pytest.raises(ValueError, match="holds a run with other flags: --validation_labels="):
        open_run({**config, "validation_labels": ""})


def test_validation_labels_of_the_built_in_set(tmp_path):
    from devise_tf import small_world

    world = small_world.world()
    seen = [label for label in world.labels.ids if label not in world.unseen]
    (tmp_path / "validation.txt").write_text("".join(f"{label}\n" for label in seen[:3]))
    config = settings({"images": "builtin", "corpus": "builtin"}, tmp_path / "run", phase="cnn")
    opened = Inputs(Config(**config, validation_labels=str(tmp_path / "validation.txt")), text_needed=False)
    assert opened.unseen == seen[:3]
    assert sorted(opened.seen) == sorted(seen[3:])
    assert not set(opened.labels.ids) & set(world.unseen)


def test_labels_of_the_built_in_set_may_have_other_terms(tmp_path):
    from devise_tf import small_world

    world = small_world.world()
    labels = LabelSet(world.labels.ids, [[f"term {number}"] for number in range(len(world.labels))])
    (tmp_path / "labels.txt").write_text(
        "".join(f"{i}\t{t[0]}\n" for i, t in zip(labels.ids, labels.terms, strict=True))
    )
    config = settings({"images": "builtin"}, tmp_path / "run", phase="cnn", labels_file=str(tmp_path / "labels.txt"))
    opened = Inputs(Config(**config), text_needed=False)
    assert opened.unseen == world.unseen
    assert opened.labels == labels.select([*world.seen, *world.unseen])
    assert opened.label_terms()[7].replace("_", " ") == "term 7"

    (tmp_path / "labels.txt").write_text("babel\tterm\n")
    with pytest.raises(ValueError, match="the images builtin"):
        Inputs(Config(**config), text_needed=False)


def test_unseen_labels_are_refused_as_validation_labels(inputs, tmp_path):
    (tmp_path / "validation.txt").write_text("rose\nfox\n")
    config = settings(inputs, tmp_path / "run", validation_labels=str(tmp_path / "validation.txt"))
    with pytest.raises(ValueError, match=r"`validation_labels` must hold no unseen labels.*Received: \['fox'\]"):
        open_run(config)
    (tmp_path / "validation.txt").write_text("rose\nunicorn\n")
    labels = write_labels(tmp_path / "labels.txt", [*SEEN, "fox", "unicorn"])
    with pytest.raises(ValueError, match=r"no images.*Received: validation_labels with \['unicorn'\]"):
        open_run({**config, "labels_file": labels})
    assert contents(tmp_path / "run") == {}


def test_empty_label_folders_are_no_labels(tmp_path):
    inputs = tiny_run.make_inputs(tmp_path)
    for folder in ("train/ghost", "val/ghost", "train/ape"):
        (tmp_path / "images" / folder).mkdir()
    for path in (tmp_path / "images" / "val" / "dog").iterdir():
        path.unlink()
    config = settings(inputs, tmp_path / "run")
    opened = Inputs(Config(**config), text_needed=True)
    assert opened.seen == list(SEEN) and opened.unseen == ["fox"]
    (tmp_path / "unseen.txt").write_text("fox\nghost\n")
    with pytest.raises(ValueError, match=r"have no images.*\['ghost'\]"):
        Inputs(Config(**config), text_needed=True)


def test_labels_of_val_that_train_lacks_are_named_with_the_nearest_ones(tmp_path):
    inputs = tiny_run.make_inputs(tmp_path)
    val = tmp_path / "images" / "val"
    for old, new in (("cat", "Cat"), ("oak", "oak "), ("rose", "roses"), ("dog", "zebra")):
        (val / old).rename(val / new)
    message = (
        r"`val` has images of 4 labels that have none in `train`: 'Cat' \(is it 'cat'\?\), 'oak ' \(is it 'oak'\?\), "
        r"'roses' \(is it 'rose'\?\), 'zebra'. Rename .* Received: images=folder:"
    )
    with pytest.raises(ValueError, match=message):
        Inputs(Config(**settings(inputs, tmp_path / "run")), text_needed=True)
    # An unseen label may have images in `val` alone, and a seen one none there.
    for label in ("Cat", "oak ", "roses"):
        shutil.rmtree(val / label)
    (tmp_path / "unseen.txt").write_text("fox\nzebra\n")
    (val / "pine").rename(val / "cat")
    opened = Inputs(Config(**settings(inputs, tmp_path / "run")), text_needed=True)
    assert opened.seen == list(SEEN) and opened.unseen == ["fox", "zebra"]


def without_val(directory):
    images = tiny_run.make_inputs(directory)["images"]
    shutil.rmtree(directory / "images" / "val")
    return images


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        *(
            (name, lambda directory: str(directory / "none.txt"))
            for name in ("labels_file", "unseen_labels", "validation_labels", "hierarchy")
        ),
        *((name, lambda directory: str(directory / "none.txt")) for name in ("vectors", "corpus")),
        ("visual_model", lambda directory: "resnet_tin"),
        ("images", without_val),
    ],
)
def test_mistyped_setting_leaves_the_directory_unbound(inputs, tmp_path, setting, wrong):
    (tmp_path / "pairs.txt").write_text("".join(f"thing {label}\n" for label in [*SEEN, "fox"]))
    (tmp_path / "vectors.txt").write_text("".join(f"{label} 1 {i}\n" for i, label in enumerate([*SEEN, "fox"])))
    (tmp_path / "wrong").mkdir()
    labels = write_labels(tmp_path / "labels.txt", [*SEEN, "fox"])
    right = settings(inputs, tmp_path / "run", labels_file=labels, hierarchy=str(tmp_path / "pairs.txt"))
    if setting == "vectors":
        right |= {"corpus": "", "vectors": str(tmp_path / "vectors.txt")}
    with pytest.raises((ValueError, OSError), match="none.txt|resnet_tin|no folder 'val'"):
        open_run({**right, setting: wrong(tmp_path / "wrong")})
    assert contents(tmp_path / "run") == {}
    open_run(right)
    assert (tmp_path / "run" / "flags.txt").exists()


def test_home_folder_is_expanded_in_paths(inputs, tmp_path, monkeypatch):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)
    write_labels(home / "labels.txt", [*SEEN, "fox", "word39"])
    tiny_run.start_run(settings(inputs, "~/runs/x", phase="skip_gram", labels_file="~/labels.txt", min_count=10**6))
    assert list(elsewhere.iterdir()) == []
    # Labels' terms are in the vocabulary however rare, those without images too.
    terms, _ = text.load_vectors(home / "runs" / "x" / "vectors.bin")
    assert set(terms) == {*SEEN, "fox", "word39"}


def test_bad_rows_of_given_vectors_are_left_out_up_to_a_limit(inputs, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{term} {i} 1\n" for i, term in enumerate(["cat", "\u00a0", "snow\u00a0leopard", "\x85"])))
    run = settings(inputs, tmp_path / "run", phase="skip_gram", corpus="", vectors=str(path))
    with pytest.raises(ValueError, match="`max_bad_rows` allows 1"):
        tiny_run.start_run({**run, "max_bad_rows": 1})
    with pytest.warns(UserWarning, match="2 bad rows: the term of line 2 is nothing but white space"):
        tiny_run.start_run(run)
    terms, vectors = text.load_vectors(tmp_path / "run" / "vectors.bin")
    assert terms == ["cat", "snow_leopard"]
    np.testing.assert_array_equal(vectors, [[0, 1], [2, 1]])


def test_packaged_files_are_found_from_anywhere(inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "models/tiny_imagenet/unseen_labels.txt"
    config = settings(inputs, tmp_path / "run", phase="skip_gram", images="", unseen_labels=name)
    assert Inputs(Config(**config), text_needed=True).unseen == load_ids(ROOT / name)
