"""The evaluation of model directories: what it measures and what it writes."""

import errno
import json
import os
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

from devise_tf.labels import LabelSet
from devise_tf.models.sources import TrainedRun
from devise_tf.text import load_vectors
from tests.helpers.evaluation_case import ANSWERS, contents, new_labels, run, second_run, write_images
from tests.helpers.tiny_model_dir import IMAGE_SIZE, LABELS, RESIZE_SIZE, add_devise

SEEN = ("n1", "n2", "n3", "n4")


@pytest.mark.slow
def test_figures_of_a_run_follow_from_its_files(made, tmp_path, capsys):
    report = run(made, report_dir=str(tmp_path / "new" / "report"), models=["softmax", "devise"], samples=3)
    assert report["answers"] == "labels"
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
    assert kept(case / "run") == {"devise": max(0, report["penalties"]["devise"])}
    taken = run(case, models=["devise"], penalties_from=str(case / "run"), report_dir=str(case / "new"), samples=0)
    assert taken["penalties"] == {} and taken["images"]["seen"] == 14
    assert taken["generalized"]["devise"]["penalized"]["penalty"] == report["penalties"]["devise"]
    assert any(f"chosen by the run in {case / 'run'}" in note for note in taken["notes"])


@pytest.mark.slow
def test_penalties_are_kept_for_the_runs_that_were_measured(case, capsys):
    """Those of models that answer with any labels, none of them negative, and none of a report elsewhere."""
    directories = second_run(case, seed=4)
    chosen = {"softmax": 0.5, "devise": 0.25, "conse": -0.5}
    (case / "other" / "report").mkdir(parents=True)
    figures = {"penalties": {**chosen, "random": 0.1, "l2": 0.3, "conse_all": 0.2}}
    (case / "other" / "report" / "metrics.json").write_text(json.dumps(figures))
    settings = {"model_dirs": directories, "models": ["devise"], "penalties_from": str(case / "other"), "samples": 0}
    run(case, **settings, report_dir=str(case / "new"))
    assert "stay as they are: the report lies outside of the model directory" in capsys.readouterr().out
    assert not (case / "run" / "penalties.json").exists()
    run(case, **settings)
    printed = capsys.readouterr().out
    for directory in directories:
        assert kept(directory) == {"devise": 0.25, "conse": 0}
        assert f"Written to {directory}/penalties.json: penalties on trained labels" in printed
    assert [TrainedRun(directory).model("devise").space.penalty.amount for directory in directories] == [0.25, 0.25]
    before = contents(case / "run")[case / "run" / "report" / "metrics.json"]
    # Figures are those of cosines: what is kept changes none, and a damaged file stops nothing.
    (case / "run" / "penalties.json").write_text("{")
    run(case, **settings)
    assert contents(case / "run")[case / "run" / "report" / "metrics.json"] == before
    assert kept(case / "run") == {"devise": 0.25, "conse": 0}
    run(case, model_dirs=directories, models=["devise"], samples=0)  # without penalties
    assert kept(case / "run") == {"devise": 0.25, "conse": 0}


def kept(directory):
    return json.loads((pathlib.Path(directory) / "penalties.json").read_text())


@pytest.mark.slow
def test_a_run_with_validation_labels_chooses_penalties_for_others(case):
    """Its unseen labels are those; labels that are named on the command line are not, and choose nothing."""
    with open(case / "run" / "flags.txt", "a") as file:
        file.write("--validation_labels=validation.txt\n")
    report = run(case, models=["devise"], samples=0)
    assert list(report["penalties"]) == ["devise"] and report["images"]["seen"] == 14
    assert any("for other runs (--penalties_from)" in note for note in report["notes"])
    assert kept(case / "run") == {"devise": max(0, report["penalties"]["devise"])}
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
def test_claims_are_held_against_both_ways_of_answering(case):
    """The figures of the other way are those that its tables would have; the tables have no rows of it."""
    terms = [["snow leopard", "cat"], ["cat"], ["dog"], ["red panda"], ["zebra"]]
    LabelSet(list(LABELS), terms).save(case / "run" / "labels.txt")
    # It answers "cat" to all images: by label vectors that is n2, of three images, by terms n1 stands before it.
    model = keras.models.load_model(case / "run" / "devise.keras")
    cat = dict(zip(*load_vectors(case / "run" / "vectors.bin"), strict=True))["cat"]
    model.projection.set_weights([np.tile(cat, (model.projection.kernel.shape[0], 1))])
    model.save(case / "run" / "devise.keras")
    reports = {way: run(case, answers=way, samples=0) for way in ("labels", "terms")}
    assert set(reports["labels"]["seen"]) == {"softmax", "devise", "conse", "conse_1", "conse_all", "chance"}
    assert reports["labels"]["claims"] == reports["terms"]["claims"]
    (claim,) = [claim for claim in reports["labels"]["claims"] if claim["claim"].startswith("1. ")]
    for way, report in reports.items():
        softmax, devise = (report["seen"][model]["hit@1"] for model in ("softmax", "devise"))
        gap = f"softmax less devise, points: {100 * (softmax - devise):.1f} ["
        assert claim["answers"][way]["figures"].startswith(gap)
        assert any(f"answer by {way}" in note for note in report["notes"])
    hits = {way: report["seen"]["devise"]["hit@1"] for way, report in reports.items()}
    assert hits == {"labels": pytest.approx(3 / 14), "terms": pytest.approx(2 / 14)}


@pytest.mark.slow
def test_compared_models_have_rows(case):
    add_devise(case / "run", "mean", label_terms="mean")
    report = run(case, models=["mean", "conse", "conse_all"], conse_tops=[2, None], samples=0)
    assert set(report["seen"]) == {"mean", "conse", "conse_all", "chance"}
