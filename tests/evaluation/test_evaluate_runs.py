"""The evaluation of model directories: what it measures, and what it says about bad input."""

import errno
import json
import os
import pathlib
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from devise_tf.evaluation.evaluate_runs import evaluate_runs
from devise_tf.evaluation.settings import EvaluationSettings
from devise_tf.text import load_vectors, save_vectors
from tests.helpers.tiny_model_dir import IMAGE_SIZE, LABELS, RESIZE_SIZE, TERMS, add_devise, make_model_dir

SEEN, UNSEEN = ("n1", "n2", "n3", "n4"), ("n5",)
# Of each label the term that answers for it; no vector is there for "ounce", and "red panda" is made of its words.
ANSWERS = {"n1": ["snow_leopard"], "n2": ["cat"], "n3": ["dog"], "n4": ["red", "panda"], "n5": ["zebra"]}
PARENTS = "root cats\nroot dogs\ncats n1\ncats n2\ndogs n3\nroot n4\nroot n5\n"
# Images of each label: a model that always gives the same answer has a figure that tells which.
COPIES = {"n1": 2, "n2": 3, "n3": 4, "n4": 5, "n5": 6}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A model directory `run`, images that no resizing changes, and a list of parents."""
    folder = tmp_path_factory.mktemp("evaluation")
    make_model_dir(folder / "run")
    with open(folder / "run" / "flags.txt", "a") as file:
        file.write(f"--images=folder:{folder / 'images'}\n--seed=3\n")
    write_images(folder / "images", LABELS)
    (folder / "parents.txt").write_text(PARENTS)
    return folder


def write_images(folder, labels):
    rng = np.random.default_rng(0)
    for label in labels:
        (folder / "val" / label).mkdir(parents=True)
        for number in range(COPIES.get(label, 3)):
            pixels = rng.integers(0, 256, (RESIZE_SIZE, RESIZE_SIZE, 3)) * rng.uniform(0.2, 1, 3)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "val" / label / f"{number}.png")


@pytest.fixture
def case(made, tmp_path):
    """A copy of all to change, with a report that must stay as it is."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    flags = (tmp_path / "run" / "flags.txt").read_text()
    (tmp_path / "run" / "flags.txt").write_text(flags.replace(str(made), str(tmp_path)))
    (tmp_path / "run" / "report").mkdir()
    (tmp_path / "run" / "report" / "metrics.json").write_text('{"old": true}')
    (tmp_path / "run" / "report" / "index.html").write_text("old")
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in pathlib.Path(folder).rglob("*") if path.is_file()}


def run(folder, **changes):
    settings = {"model_dirs": [str(folder / "run")], "hierarchy": str(folder / "parents.txt"), "verbose": 0}
    evaluate_runs(EvaluationSettings(**settings | changes), "the command")
    report = changes.get("report_dir") or folder / "run" / "report"
    return json.loads((pathlib.Path(report) / "metrics.json").read_text())


@pytest.mark.slow
def test_a_run(made, tmp_path, capsys):
    report = run(made, report_dir=str(tmp_path / "new" / "report"), models=["softmax", "devise"], samples=3)
    assert sorted(os.listdir(tmp_path / "new" / "report")) == ["index.html", "metrics.json", "tables.md"]
    assert not (made / "run" / "report").exists()
    assert report["command"] == "the command" and "| softmax " in capsys.readouterr().out
    assert report["images"] == {"seen": 14, "unseen": 6, "unseen+seen": 6}
    assert report["labels"]["unseen"] == {"labels": 1, "candidates": 1}
    assert report["labels"]["unseen+seen"] == {"labels": 1, "candidates": 5}
    assert report["seeds"]["run"] == [3] and report["paper"] == {} and report["penalties"] == {}
    # "ounce" has no vector: the whole vectors are those of three first terms, and of the unseen zebra.
    assert {name: report["coverage"][name] for name in ("first_whole", "other_whole", "composed", "missing")} == {
        **{"first_whole": 4, "other_whole": 0, "composed": 1, "missing": 0}
    }

    # The first answers, from the files, the saved models and the vectors.
    margin = (RESIZE_SIZE - IMAGE_SIZE) // 2
    crops = {
        label: np.stack(
            [
                np.asarray(Image.open(path), np.float32)[margin:-margin, margin:-margin]
                for path in sorted((made / "images" / "val" / label).iterdir())
            ]
        )
        for label in LABELS
    }
    terms = dict(zip(*load_vectors(made / "run" / "vectors.bin"), strict=True))
    vectors = {label: sum(terms[word] for word in words) for label, words in ANSWERS.items()}
    units = np.stack([vector / np.linalg.norm(vector) for vector in vectors.values()])
    devise, softmax = (keras.models.load_model(made / "run" / f"{name}.keras") for name in ("devise", "cnn"))
    scores = {label: devise.predict(pixels, verbose=0) @ units.T for label, pixels in crops.items()}
    first = {label: [list(LABELS)[i] for i in rows.argmax(axis=1)] for label, rows in scores.items()}
    assert report["unseen+seen"]["devise"]["hit@1"] == pytest.approx(np.mean([a == "n5" for a in first["n5"]]))
    seen = [SEEN[i] == label for label in SEEN for i in scores[label][:, :4].argmax(axis=1)]
    assert report["seen"]["devise"]["hit@1"] == pytest.approx(np.mean(seen))
    assert report["unseen"]["devise"]["hit@1"] == 1
    logits = [SEEN[i] == label for label in SEEN for i in softmax.predict(crops[label], verbose=0).argmax(axis=1)]
    assert report["seen"]["softmax"]["hit@1"] == pytest.approx(np.mean(logits))
    # hCorrectSet(label, 2) of n1 and n2: both; of n3: with n4, three hops away; of n4: all four, three hops away.
    assert report["seen"]["chance"]["hp@2"] == pytest.approx((2 * 2 + 2 * 3 + 2 * 4 + 4 * 5) / 14 / 4)
    assert report["unseen+seen"]["chance"]["hp@2"] == pytest.approx(2 / 5)  # n5 and n4


def save_ids(path, ids):
    path.write_text("".join(f"{label}\n" for label in ids))
    return str(path)


def no_models(folder):
    for path in (folder / "run").glob("*.keras"):
        path.unlink()


def second_run(folder, **flags):
    shutil.copytree(folder / "run", folder / "second")
    path = folder / "second" / "flags.txt"
    lines = [line for line in path.read_text().splitlines() if line[2:].partition("=")[0] not in flags]
    path.write_text("".join(f"{line}\n" for line in [*lines, *(f"--{name}={value}" for name, value in flags.items())]))
    return [str(folder / "run"), str(folder / "second")]


def other_labels(folder):
    directories = second_run(folder)
    text = (folder / "second" / "labels.txt").read_text()
    (folder / "second" / "labels.txt").write_text(text.replace("zebra", "horse"))
    return {"model_dirs": directories}


def not_the_runs_images(folder, labels):
    write_images(folder / "others", labels)
    return {"images": f"folder:{folder / 'others'}"}


def without_val(folder):
    (folder / "images" / "val").rename(folder / "images" / "train")


def new_labels(folder, labels, listed=""):
    (folder / "terms.txt").write_text(listed or "n1\tcat\n")
    return {"unseen_labels": save_ids(folder / "ids.txt", labels)} | (
        {"labels": str(folder / "terms.txt")} if listed else {}
    )


def hierarchy(folder, text):
    (folder / "parents.txt").write_text(text)


def own_hierarchy(folder):
    shutil.move(folder / "parents.txt", folder / "run" / "hierarchy.txt")
    return {"hierarchy": "", **new_labels(folder, ["n6"], "n6\tpolar bear\n")}


def penalties(folder, text):
    (folder / "other" / "report").mkdir(parents=True)
    (folder / "other" / "report" / "metrics.json").write_text(text)
    return {"penalties_from": str(folder / "other")}


def other_vectors(folder):
    vectors = np.random.default_rng(9).normal(size=(len(TERMS), 8)).astype(np.float32)
    save_vectors(folder / "run" / "vectors.bin", TERMS, vectors, "word2vec_binary")


def shorter_vectors(folder):
    save_vectors(folder / "run" / "vectors.bin", TERMS, np.ones((len(TERMS), 5), np.float32), "word2vec_binary")


def unreadable(folder):
    for path in (folder / "images").rglob("*.png"):
        path.write_bytes(b"nothing")


def file_for_report(folder):
    (folder / "taken").write_text("")
    return {"report_dir": str(folder / "taken")}


BAD = {
    "no directory": (lambda f: {"model_dirs": []}, "`model_dir` must name a model directory. Received: none"),
    "not a model directory": (
        lambda f: {"model_dirs": [str(f / "images")]},
        r"`model_dir` must be the directory of a run \(python -m devise_tf.train --model_dir=…\). Received: .*images",
    ),
    "without labels": (
        lambda f: (f / "run" / "labels.txt").unlink(),
        "labels.txt is missing: run --phase=cnn in that directory first",
    ),
    "without vectors": (
        lambda f: (f / "run" / "vectors.bin").unlink(),
        "vectors.bin is missing: run --phase=skip_gram in that directory first",
    ),
    "without models": (no_models, "There are no trained models: finish the run first.* Received: model_dir='.*run'"),
    "without sizes": (
        lambda f: (f / "run" / "flags.txt").write_text(f"--images=folder:{f / 'images'}\n"),
        "flags.txt must have --image_size. Received: --image_size=",
    ),
    "runs of other labels": (other_labels, "differ in their seeds only; these have other labels. Received: .*second"),
    "runs of other sizes": (
        lambda f: {"model_dirs": second_run(f, resize_size=30)},
        "differ in their seeds only; these have --resize_size=28 and --resize_size=30. Received: .*second",
    ),
    "ids that do not exist": (
        lambda f: new_labels(f, ["n5", "n00000001"], "n6\tpolar bear\n"),
        "1 of the 1 ids of `unseen_labels` are not among the 1 labels.*n00000001",
    ),
    "labels without terms": (
        lambda f: new_labels(f, ["n5", "n6"]),
        "1 of the 2 `unseen_labels` are not among the run's labels: name a file with their terms by "
        "--labels_file.*'n6'",
    ),
    "no file of labels": (
        lambda f: {**new_labels(f, ["n6"]), "labels": str(f / "none.txt")},
        "`labels_file` must name .*none.txt",
    ),
    "no file of ids": (lambda f: {"unseen_labels": "none.txt"}, "`unseen_labels` must name a file.*none.txt"),
    "trained labels as unseen": (
        lambda f: new_labels(f, ["n5", "n2"]),
        "1 of the 2 `unseen_labels` were trained: remove them from the list. Received: ..n2",
    ),
    "a cycle": (
        lambda f: hierarchy(f, PARENTS + "n1 root\n"),
        "parents.txt: `parents` must not hold a cycle; remove one of its links. Received: .* -> ",
    ),
    "a hierarchy without all labels": (
        lambda f: hierarchy(f, "root n1\nroot n2\n"),
        "3 of the 5 ids are not in the hierarchy .*parents.txt.*'n3', 'n4', 'n5'. Remove them, or give",
    ),
    "own hierarchy without new labels": (
        own_hierarchy,
        "The run's hierarchy lacks 1 of the labels: name one that has them by --hierarchy.*'n6'",
    ),
    "no such hierarchy": (lambda f: {"hierarchy": "nothing"}, "there is none of this name.*hierarchy='nothing'"),
    "no WordNet": (lambda f: {"hierarchy": f"wordnet:{f}"}, "data.noun"),
    "images of no label": (
        lambda f: not_the_runs_images(f, ["x1", "x2"]),
        "None of the 2 labels of the images is one of the run's, which are like 'n1', .*name other images.*'x1', 'x2'",
    ),
    "images of other labels": (
        lambda f: not_the_runs_images(f, ["n1", "n2", "x1"]),
        "1 labels of the images are not the run's: remove their folders, or list .*'x1'",
    ),
    "no folder of images": (
        lambda f: shutil.rmtree(f / "images"),
        "The run's images cannot be opened; name them by --images. The image folder does not exist. Received: .*images",
    ),
    "no val": (without_val, "has no folder 'val'; images belong in .*val.<label>.*with ..train"),
    "unreadable images": (
        unreadable,
        r"of the 20 images of .* cannot be used, more than the allowed share of 0.05. All .*bad_images",
    ),
    "unreadable images that are allowed": (
        lambda f: unreadable(f) or {"max_bad_images": 1.0},
        "None of the images can be read. Received: .*val",
    ),
    "more answers than candidates": (
        lambda f: {"ks": [1, 6]},
        "`ks` must not exceed the 4 candidates of the setting 'seen'. Received: ks=.1, 6",
    ),
    "no k": (lambda f: {"ks": [0]}, r"`ks` must hold different integers >= 1. Received: ks=\[0\]"),
    "no ConSE": (lambda f: {"conse_tops": [0]}, r"`conse_tops` must hold .* or None for all labels. Received: .*\[0\]"),
    "ConSE twice": (lambda f: {"conse_tops": [3, 3]}, "`conse_tops` must hold different integers"),
    "no models": (lambda f: {"models": []}, "`models` must name models; leave it out for all"),
    "a model that is not there": (
        lambda f: {"models": ["softmax", "l2"]},
        r"has no model \['l2'\]. Received: models=.*there are \['conse', 'devise', 'softmax'\]",
    ),
    "answers of another kind": (lambda f: {"answers": "ids"}, "`answers` must be one of .*Received: answers='ids'"),
    "other vectors": (
        other_vectors,
        "devise.keras was trained with other label vectors .*restore its vectors.bin and labels.txt. .*model='devise'",
    ),
    "shorter vectors": (shorter_vectors, "devise.keras was trained with other label vectors"),
    "a share of all images": (lambda f: {"validation_share": 1.0}, "`validation_share` must be from 0 to below 1"),
    "two ways to choose penalties": (
        lambda f: {"validation_share": 0.5, "penalties_from": "other"},
        "Choose penalties on a share of the images .* or take them from another run .* not both",
    ),
    "penalties of no report": (
        lambda f: {"penalties_from": str(f)},
        "`penalties_from` must be the model directory of a run with --validation_labels that has been evaluated",
    ),
    "no penalties": (
        lambda f: penalties(f, '{"penalties": {}}'),
        "metrics.json has no penalties: they are chosen by the evaluation of a run with --validation_labels",
    ),
    "damaged penalties": (lambda f: penalties(f, '{"penalties": {"dev'), "`penalties_from` must be .*metrics.json"),
    "penalties that are no numbers": (
        lambda f: penalties(f, '{"penalties": {"devise": "much"}}'),
        "`penalties_from` must be .*metrics.json: could not convert string to float: 'much'",
    ),
    "a file for a report": (file_for_report, "`report_dir` must be a folder, or be made. Received: .*taken"),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name.startswith("unreadable") else ()) for name in BAD]
)
def test_bad_input_is_named_and_nothing_is_written(name, case):
    change, message = BAD[name]
    changes = change(case)
    before = contents(case)
    with pytest.raises((ValueError, OSError), match=f"(?s){message}"):
        run(case, **(changes if isinstance(changes, dict) else {}))
    after = contents(case)
    after.pop(case / "run" / "bad_images.log", None)
    assert after == before


@pytest.mark.slow
def test_nothing_but_the_report_is_written(case):
    before = contents(case)
    report = run(case, models=["softmax"], samples=0)
    assert "old" not in report
    changed = {path for path, bytes_ in contents(case).items() if before.get(path) != bytes_}
    assert changed == {case / "run" / "report" / name for name in ("metrics.json", "tables.md", "index.html")}


@pytest.mark.slow
@pytest.mark.parametrize("file", [1, 3])
def test_a_full_disk_leaves_the_old_report(file, case, monkeypatch):
    before, left = contents(case), [file]

    def full(descriptor):
        left[0] -= 1
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        run(case, models=["softmax"], samples=0)
    assert left == [0] and contents(case) == before


@pytest.mark.slow
def test_seeds_are_measured_together(case):
    """Of two runs the figures are means, those of each stand beside them."""
    directories = second_run(case, seed=4)
    network = keras.models.load_model(case / "run" / "cnn.keras")
    top = network.layers[-1]
    top.set_weights([-weight for weight in top.get_weights()])  # what was the last answer is the first
    network.save(case / "second" / "cnn.keras")
    both = run(case, model_dirs=directories, models=["softmax"], samples=0)
    assert both["seeds"]["run"] == [3, 4]
    each = [run(case, model_dirs=[d], models=["softmax"], samples=0, report_dir=str(case / "one")) for d in directories]
    figures = [one["seen"]["softmax"]["hit@1"] for one in each]
    assert figures[0] != figures[1]
    assert both["seeds"]["seen"]["softmax"]["hit@1"] == pytest.approx(figures)
    assert both["seen"]["softmax"]["hit@1"] == pytest.approx(np.mean(figures))


@pytest.mark.slow
def test_penalties_are_chosen_on_a_share_of_the_images(case):
    report = run(case, models=["devise"], validation_share=0.4, samples=0)
    # 40 % of 20 images are drawn, and have no part in the figures.
    assert report["images"]["seen"] + report["images"]["unseen"] == 12
    assert list(report["penalties"]) == ["devise"]
    assert report["generalized"]["devise"]["penalized"]["penalty"] == report["penalties"]["devise"]
    assert any("which have no part in the figures" in note for note in report["notes"])
    taken = run(case, models=["devise"], penalties_from=str(case / "run"), report_dir=str(case / "new"), samples=0)
    assert taken["penalties"] == {} and taken["images"]["seen"] == 14
    assert taken["generalized"]["devise"]["penalized"]["penalty"] == report["penalties"]["devise"]
    assert any(f"chosen by the run in {case / 'run'}" in note for note in taken["notes"])


@pytest.mark.slow
def test_a_run_with_validation_labels_chooses_penalties_for_others(case):
    """Its unseen labels are those; labels that are named on the command line are not, and choose nothing."""
    with open(case / "run" / "flags.txt", "a") as file:
        file.write("--validation_labels=validation.txt\n")
    report = run(case, models=["devise"], samples=0)
    assert list(report["penalties"]) == ["devise"] and report["images"]["seen"] == 14
    assert any("for other runs (--penalties_from)" in note for note in report["notes"])
    named = run(case, models=["devise"], samples=0, **new_labels(case, ["n5"]))
    assert named["penalties"] == {} and "penalized" not in named["generalized"]["devise"]


@pytest.mark.slow
def test_new_labels_get_their_terms_from_a_file(case):
    """Unseen labels that the run never heard of: two without images, one of them without a vector."""
    write_images(case / "more", ["n1", "n6"])
    listed = "n6\tpolar bear\nn7\tcafé\nn8\tokapi\n"
    report = run(
        case,
        models=["devise", "softmax"],
        hierarchy="",
        images=f"folder:{case / 'more'}",
        **new_labels(case, ["n6", "n7", "n8"], listed),
    )
    assert report["labels"]["unseen"] == {"labels": 1, "candidates": 2}
    assert report["labels"]["unseen+seen"] == {"labels": 1, "candidates": 6}
    assert report["labels"]["seen"] == {"labels": 1, "candidates": 4}
    assert report["images"] == {"seen": 2, "unseen": 3, "unseen+seen": 3}
    notes = "\n".join(report["notes"])
    assert "1 labels without a vector are left out" in notes and "No images of 5 labels" in notes
    assert "No hierarchical precision" in notes
    assert report["unseen+seen"]["softmax"]["hit@1"] == 0


@pytest.mark.slow
def test_compared_models_have_rows(case):
    add_devise(case / "run", "mean", label_terms="mean")
    report = run(case, models=["mean", "conse", "conse_all"], conse_tops=[2, None], samples=0)
    assert set(report["seen"]) == {"mean", "conse", "conse_all", "chance"}
