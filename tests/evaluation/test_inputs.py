"""What an evaluation says about bad input."""

import shutil

import numpy as np
import pytest

from devise_tf.text import save_vectors
from tests.helpers.evaluation_case import PARENTS, contents, new_labels, run, second_run, write_images
from tests.helpers.tiny_model_dir import TERMS


def no_models(folder):
    for path in (folder / "run").glob("*.keras"):
        path.unlink()


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
        r"of the 20 images of .* cannot be used, more than the allowed share of 0.05. Those that were met so far",
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
        r"has no model \['l2'\]: choose among \['conse', 'devise', 'softmax'\]. Received: models=",
    ),
    "answers of another kind": (lambda f: {"answers": "ids"}, "`answers` must be one of .*Received: answers='ids'"),
    "other vectors": (
        other_vectors,
        "The model devise in .* with other label vectors .*: restore its vectors.bin and labels.txt. .*model='devise'",
    ),
    "shorter vectors": (shorter_vectors, "The model devise in .* was trained with other label vectors"),
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
