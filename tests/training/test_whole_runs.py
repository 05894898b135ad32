"""Whole runs: what they leave, and what is in their reports."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from devise_tf import text
from devise_tf.labels import Hierarchy, LabelSet, WordSpace
from devise_tf.labels.described_vectors import described_vectors
from devise_tf.labels.descriptions import Descriptions
from devise_tf.layers import LabelDistanceLoss, LabelSoftmaxLoss
from devise_tf.models.devise import SpaceRecipe
from devise_tf.models.sources import TrainedRun
from tests.helpers import tiny_run
from tests.helpers.tiny_run import PHASES, SEEN, read_metrics, read_report, settings


def contents(directory):
    return {path: path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()}


@pytest.mark.slow
def test_run_with_other_label_vectors_and_compared_recipes(tmp_path):
    """Random terms, softmax loss and profiles; beside it the distance loss on first terms, and the whole recipe."""
    inputs = tiny_run.make_inputs(tmp_path)
    terms = {"cat": "cat, word1, word2", "dog": "dog, cat word3", "rose": "rose, word4"}
    labels = [(label, terms.get(label, label)) for label in [*SEEN, "fox"]]
    (tmp_path / "labels.txt").write_text("".join(f"{label}\t{its}\n" for label, its in labels))
    config = settings(
        inputs, tmp_path / "run", labels_file=str(tmp_path / "labels.txt"), random_models=0, cnn_epochs=0.6,
        label_terms="random", devise_loss="softmax", temperature=0.1, label_profiles=True, compare="l2,profiles",
    )  # fmt: skip
    tables = tiny_run.start_run(config)
    assert "Seen labels" in tables
    run = TrainedRun(config["model_dir"])
    names = ["devise", "devise_projection", "l2", "l2_projection", "profiles", "profiles_projection"]
    assert run.networks() == ["softmax", *names]
    devise, l2 = run.network("devise"), run.network("l2")
    assert isinstance(devise.loss, LabelSoftmaxLoss) and devise.loss.temperature == 0.1
    assert devise.space_recipe.label_terms == "random" and devise.profile_references.shape == (len(SEEN), 8)
    assert isinstance(l2.loss, LabelDistanceLoss) and l2.space_recipe == SpaceRecipe()
    result, vectors = text.load_vectors(tmp_path / "run" / "vectors.bin")
    first = np.stack([vectors[result.index(label)] for label in SEEN])
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    np.testing.assert_allclose(devise.profile_references, first, atol=1e-5)
    np.testing.assert_allclose(l2.label_vectors, first, atol=1e-5)
    lines = read_metrics(config["model_dir"])
    phases = {line["phase"] for line in lines}
    assert {"devise_projection", "devise"} <= phases and "l2_projection" not in phases  # that is solved
    assert all(math.isfinite(line["loss"]) for line in lines)
    report = read_report(config["model_dir"])
    for setting in ("seen", "unseen", "unseen+seen"):
        assert {"devise", "l2", "profiles", "conse", "chance"} <= set(report[setting])
    before = contents(tmp_path / "run")
    assert tiny_run.start_run(config)  # all phases are done: the report alone
    assert contents(tmp_path / "run").keys() == before.keys()
    assert read_metrics(config["model_dir"]) == lines


@pytest.mark.slow
def test_run_with_descriptions(tmp_path):
    """Its own model and ConSE have vectors of described labels, the paper's recipe does not; answers have the same."""
    inputs = tiny_run.make_inputs(tmp_path)
    looks = {"cat": "Word1 and word2.", "dog": "A word3.", "fox": "The word4, word5.", "zebra": "word6"}
    (tmp_path / "looks.tsv").write_text("".join(f"{label}\t{label}\t{its}\n" for label, its in looks.items()))
    links = zip(["word7", "word7", "word8", "word9", "word9", "word8"], [*SEEN, "fox"], strict=True)
    (tmp_path / "tree.txt").write_text("".join(f"{parent} {label}\n" for parent, label in links))
    config = settings(
        inputs, tmp_path / "run", descriptions=str(tmp_path / "looks.tsv"), hierarchy=str(tmp_path / "tree.txt"),
        compare="paper", random_models=1, cnn_epochs=0.6, temperature=0.1,
    )  # fmt: skip
    tiny_run.start_run(config)
    run = TrainedRun(config["model_dir"])
    labels = LabelSet.from_ids(SEEN)
    terms, described = text.load_vectors(tmp_path / "run" / "described.npz")
    assert set(terms) == {*looks, "word7"}  # what is above two described labels
    counts = text.Vocabulary.load(tmp_path / "run" / "vocabulary.txt").counts
    words = WordSpace(*text.load_vectors(tmp_path / "run" / "vectors.bin"))
    hierarchy = Hierarchy.open(tmp_path / "tree.txt")
    kinds = LabelSet.from_ids(["word7", "word8", "word9"])
    descriptions = Descriptions.load([tmp_path / "looks.tsv"])
    made = described_vectors(words, counts / counts.sum(), descriptions, hierarchy.restricted_to([*SEEN, "fox"]), kinds)
    np.testing.assert_allclose(described[[terms.index(label) for label in looks]], made, atol=1e-3)
    plain, own = words.table(labels).values, run.network("devise").label_vectors.numpy()
    np.testing.assert_allclose(own[:2], made[:2], atol=1e-3)
    np.testing.assert_allclose(own[2:], plain[2:], atol=1e-3)
    np.testing.assert_allclose(run.network("paper").label_vectors, plain, atol=1e-6)
    for name, expected in (("devise", own), ("conse", own), ("paper", plain)):
        table = run.model(name).open_space(labels).table(labels, "labels")
        np.testing.assert_allclose(table.values, expected, atol=1e-6)
        named = run.model(name).space.table(["zebra"], some_known=False)
        assert bool(named.ids) == (name != "paper")
    assert not run.described("random_0")
    assert {"devise", "paper", "conse"} <= set(read_report(config["model_dir"])["unseen"])


@pytest.mark.slow
def test_labels_without_val_images_are_candidates(gaps_run):
    config = gaps_run
    report = read_report(config["model_dir"])
    assert report["seen"]["chance"] == pytest.approx({"hit@1": 1 / 5, "hit@2": 2 / 5, "hit@5": 1})
    assert report["unseen"]["chance"] == pytest.approx({"hit@1": 1 / 2, "hit@2": 1})
    assert report["unseen+seen"]["chance"] == pytest.approx({"hit@1": 1 / 7, "hit@2": 2 / 7, "hit@5": 5 / 7})
    assert report["images"] == {"seen": 12, "unseen": 4, "unseen+seen": 4}
    assert report["labels"]["seen"] == {"labels": 3, "candidates": 5}
    assert report["labels"]["unseen+seen"] == {"labels": 1, "candidates": 7}
    model_dir = Path(config["model_dir"])
    assert (model_dir / "unseen_labels.txt").read_text() == "fox\nword0\n"
    assert LabelSet.load(model_dir / "labels.txt").ids == [*SEEN, "fox", "word0"]


@pytest.mark.slow
def test_alexnet_trains_in_all_phases(gaps_run):
    config = gaps_run
    lines = read_metrics(config["model_dir"])
    assert list(dict.fromkeys(line["phase"] for line in lines)) == list(PHASES[:4])
    assert all(math.isfinite(line["loss"]) for line in lines)
    assert {"softmax", "devise"} <= set(read_report(config["model_dir"])["seen"])


@pytest.mark.slow
def test_ranking_loss_alone_moves_only_the_seen_labels_vectors(gaps_run):
    """Without the weight of the text, the seen labels' vectors move, and nothing else does."""
    config = gaps_run
    terms, before = text.load_vectors(os.path.join(config["model_dir"], "vectors.bin"))
    same, after = text.load_vectors(os.path.join(config["model_dir"], "trained_vectors.bin"))
    assert same == terms
    seen = np.isin(terms, SEEN)
    assert np.abs(after - before)[seen].max(axis=1).min() > 1e-3
    np.testing.assert_array_equal(after[~seen], before[~seen])
