"""The presets of the package: each of their models predicts, is exported and is evaluated, and all agree."""

import collections
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import devise_tf.models
from devise_tf.evaluation.evaluate_runs import evaluate_runs
from devise_tf.evaluation.measure.run_scorers import run_scorers
from devise_tf.evaluation.report import label_map as mapping
from devise_tf.evaluation.settings import EvaluationSettings
from devise_tf.export.build import ExportSettings, export_model
from devise_tf.export.manifest import MANIFEST_FILE
from devise_tf.labels import LabelSet
from devise_tf.models.predictor import Predictor
from devise_tf.models.pretrained import load_preset
from devise_tf.models.sources import PretrainedRun, open_run
from devise_tf.packaged import packaged_files
from tests.helpers.exports import checked_in_this_process
from tests.helpers.tiny_model_dir import photo

MODELS = Path(devise_tf.models.__file__).parent
EVERY = [(name, model) for name in packaged_files("preset") for model in load_preset(name).models()]
# All are exported, the default one in every run of the tests.
EXPORTED = [
    pytest.param(*pair, marks=() if pair[1] == load_preset(pair[0]).model else pytest.mark.soak) for pair in EVERY
]
PHOTOS = [photo(seed, size) for seed, size in enumerate([(320, 260), (230, 400), (224, 224)])]
# Of the words of two, and of a word that no model was trained on by this term.
TEXTS = ["Tabby cat", "sports car", "snow leopard", "goldfish", "espresso", "okapi", "acoustic guitar"]
SEEN = ["n01443537", "n02123045", "n04285008", "n07920052"]  # goldfish, tabby, sports car, espresso
COPIES = dict(zip(SEEN, (5, 6, 7, 8), strict=True))
UNKNOWN = ["n02432511", "n02085374", "n02512053"]  # mule deer, toy dog, fish: labels of ImageNet-21K alone


@pytest.fixture(scope="module")
def predictor():
    """Loads a model of a preset, once; the models of a preset share their softmax network."""
    runs, result = {}, {}

    def load(name, model):
        if name not in runs:
            runs[name] = open_run(name)
        if (name, model) not in result:
            result[name, model] = Predictor(runs[name], model)
        return result[name, model]

    return load


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Pictures of four labels of ImageNet-1K, one of which is broken, and of three others of ImageNet-21K."""
    folder = tmp_path_factory.mktemp("zoo")
    for part, labels in (("seen", SEEN), ("both", [*SEEN, *UNKNOWN])):
        for position, label in enumerate(labels):
            (folder / part / "val" / label).mkdir(parents=True)
            for number in range(COPIES.get(label, 2)):
                path = folder / part / "val" / label / f"{number}.jpg"
                path.write_bytes(photo(100 * position + number, (280, 256)))
    (folder / "seen" / "val" / SEEN[0] / "0.jpg").write_bytes(b"no photo")
    (folder / "unseen.txt").write_text("".join(f"{label}\n" for label in UNKNOWN))
    return folder


@pytest.fixture
def no_map(monkeypatch):
    """The report's map of a thousand labels takes longer than the rest, and has tests of its own."""
    monkeypatch.setattr(mapping, "t_sne", lambda vectors, seed: vectors[:, :2])


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def scores_by_id(answers):
    return [{answer.id: answer.score for answer in row} for row in answers]


def test_packaged_weights_are_small_and_hold_only_numbers():
    paths = sorted(MODELS.rglob("*.npz"))
    assert sum(path.stat().st_size for path in paths) <= 45_000_000
    presets = map(load_preset, packaged_files("preset"))
    named = {preset.file(preset.networks["softmax"]["weights"]) for preset in presets}
    assert named <= set(map(str, paths))
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            assert file.files and all(file[name].dtype.kind in "fiuSU" for name in file.files)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model"), EVERY)
def test_predictions_equal_those_of_evaluation(name, model, predictor):
    """All scores of all labels."""
    loaded = predictor(name, model)
    assert isinstance(loaded.run, PretrainedRun) and loaded.image_size == load_preset(name).image_size
    pixels = np.stack(next(loaded.prepared(PHOTOS)))
    (scorer,) = run_scorers(loaded.run, loaded.run.labels, (10,), "labels", only=[model])
    ids = loaded.labels.ids
    values, queries = scorer.candidates(ids).values, scorer.head(scorer.network(pixels)).numpy()
    expected = queries[:, values] if values.ndim == 1 else queries @ values.T
    if model == "softmax":  # which is ranked by logits
        expected = softmax(expected)
    for result, row in zip(scores_by_id(loaded.predict_labels(PHOTOS, k=len(ids))), expected, strict=True):
        assert len(result) == len(ids)
        np.testing.assert_allclose([result[label] for label in ids], row, atol=1e-4)
    assert np.isfinite(loaded.embed(PHOTOS)).all()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model"), EXPORTED)
def test_predictions_equal_those_of_the_export(name, model, predictor, tmp_path):
    """Which is checked in a v1 Session as it is written."""
    with checked_in_this_process():
        version = export_model(name, str(tmp_path), ExportSettings(model, answers="ids", k=7, max_terms=200))
    manifest = json.loads(Path(version, MANIFEST_FILE).read_text())
    loaded = predictor(name, model)
    assert (manifest["model"], manifest["image_size"]) == (model, loaded.image_size)
    assert manifest["labels"] == len(loaded.labels) and manifest["warmup_records"] > 0
    signatures = tf.saved_model.load(version).signatures
    served = signatures["serving_default"](image_bytes=tf.constant(PHOTOS))
    answers = loaded.predict_labels(PHOTOS, k=len(loaded.labels))
    for row, ids, scores in zip(scores_by_id(answers), served["labels"].numpy(), served["scores"].numpy(), strict=True):
        np.testing.assert_allclose([row[label.decode()] for label in ids], scores, atol=1e-4)
        np.testing.assert_allclose(sorted(row.values(), reverse=True)[:7], scores, atol=1e-4)
    embedded = signatures["embed_image"](image_bytes=tf.constant(PHOTOS))["embedding"]
    np.testing.assert_allclose(loaded.embed(PHOTOS), embedded, atol=1e-4)
    served = signatures["classify"](image_bytes=tf.constant(PHOTOS), labels=tf.constant([TEXTS]))
    known, order = served["known"].numpy(), served["indices"].numpy()
    for image, positions, scores, its in zip(PHOTOS, order, served["scores"].numpy(), known, strict=True):
        # The export holds the terms of its labels and 200 others, the predictor all.
        texts = [TEXTS[position] for position in positions[its]]
        assert its.sum() >= 5
        row = scores_by_id(loaded.predict_labels(image, texts, k=len(texts)))[0]
        np.testing.assert_allclose([row[text] for text in texts], scores[its], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", packaged_files("preset"))
def test_preset_is_evaluated_on_known_labels(name, predictor, images, no_map, tmp_path, monkeypatch):
    """Into a folder that is named, where the log of bad images lies too; nothing else is written."""
    monkeypatch.chdir(tmp_path)
    settings = EvaluationSettings(
        [name], f"folder:{images / 'seen'}", models=["softmax"], report_dir="new/report", samples=2,
        max_bad_images=0.1, verbose=0,
    )  # fmt: skip
    evaluate_runs(settings, "the command")
    assert sorted(path.name for path in (tmp_path / "new" / "report").iterdir()) == [
        *("bad_images.log", "index.html", "metrics.json", "tables.md")
    ]
    assert os.listdir(tmp_path) == ["new"]
    (line,) = (tmp_path / "new" / "report" / "bad_images.log").read_text().splitlines()
    assert f"{SEEN[0]}/0.jpg\t" in line
    report = json.loads((tmp_path / "new" / "report" / "metrics.json").read_text())
    assert report["bad_images"] == 1 and report["images"] == {"seen": 25}
    assert report["labels"]["seen"] == {"labels": 4, "candidates": 1000}
    folders = images / "seen" / "val"
    paths = [path for path in sorted(folders.glob("*/*.jpg")) if path != folders / SEEN[0] / "0.jpg"]
    answers = predictor(name, "softmax").predict_labels(paths, k=20)
    for k in (1, 20):
        result = [path.parent.name in [a.id for a in row[:k]] for path, row in zip(paths, answers, strict=True)]
        assert report["seen"]["softmax"][f"hit@{k}"] == pytest.approx(np.mean(result))


def correct_set(label, k, candidates):
    """The candidates that are `k` at least and as few hops from a label as can be, by ImageNet's links above them."""
    lines = (MODELS / "imagenet" / "hierarchy.txt").read_text().splitlines()
    pairs = [line.split("#")[0].split() for line in lines]
    parents, near = collections.defaultdict(set), collections.defaultdict(set)
    for pair in filter(None, pairs):
        parents[pair[1]].add(pair[0])
    edge = set(candidates)
    while edge:  # links of candidates and of what is above them
        above = set()
        for child in edge:
            for parent in parents[child] - near[child]:
                near[child].add(parent)
                near[parent].add(child)
                above.add(parent)
        edge = above
    result = {label}
    while len(result & set(candidates)) < k:
        result |= {other for one in result for other in near[one]}
    return result & set(candidates)


@pytest.mark.slow
@pytest.mark.parametrize("name", packaged_files("preset"))
def test_preset_is_evaluated_on_labels_unknown_to_the_softmax(name, images, no_map, tmp_path, monkeypatch):
    """Into a folder of the preset's name, which does not hide the preset; measured by ImageNet's hierarchy."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(images / "both", "photos")
    (tmp_path / "photos" / "val" / UNKNOWN[0] / "0.jpg").write_bytes(b"no photo")
    settings = EvaluationSettings(
        [name], "folder:photos", labels="models/imagenet/labels_21k.txt", unseen_labels=str(images / "unseen.txt"),
        conse_tops=(10,), samples=2, max_bad_images=0.1, verbose=0,
    )  # fmt: skip
    evaluate_runs(settings, "the command")
    assert sorted(os.listdir(tmp_path)) == sorted([name, "photos"]) and os.listdir(tmp_path / name) == ["report"]
    assert f"{UNKNOWN[0]}/0.jpg\t" in (tmp_path / name / "report" / "bad_images.log").read_text()
    report = json.loads((tmp_path / name / "report" / "metrics.json").read_text())
    assert report["images"] == {"seen": 26, "unseen": 5, "unseen+seen": 5}
    assert [report["labels"][part]["candidates"] for part in ("seen", "unseen", "unseen+seen")] == [1000, 3, 1003]
    models = set(load_preset(name).models())
    assert models <= set(report["seen"]) and models - {"softmax"} <= set(report["unseen"])
    # By chance, of k answers those of the label's hierarchical set are right, whose size the hierarchy says; trained
    # labels are counted as it grows, also where they cannot be answered.
    candidates = [*LabelSet.load(MODELS / "imagenet" / "labels_1k.txt").ids, *UNKNOWN]
    measured = {UNKNOWN[0]: 1, UNKNOWN[1]: 2, UNKNOWN[2]: 2}
    for part, ids in (("unseen", UNKNOWN), ("unseen+seen", candidates)):
        sets = {label: correct_set(label, 2, candidates) & set(ids) for label in UNKNOWN}
        sizes = [len(sets[label]) for label, count in measured.items() for _ in range(count)]
        assert report[part]["chance"]["hp@2"] == pytest.approx(np.mean(sizes) / len(ids))
    folders = tmp_path / "photos" / "val"
    paths = [path for label in UNKNOWN for path in sorted((folders / label).iterdir())][1:]
    labels = LabelSet.load(MODELS / "imagenet" / "labels_21k.txt").select(UNKNOWN)
    loaded = devise_tf.models.load(name)  # which the folder of reports does not hide
    assert loaded.model == load_preset(name).model
    answers = loaded.predict_labels(paths, labels, k=1)
    right = [path.parent.name == row[0].id for path, row in zip(paths, answers, strict=True)]
    assert report["unseen"][loaded.model]["hit@1"] == pytest.approx(np.mean(right))
