"""Presets as data: what their files must hold, where they are looked for, and what is said of wrong ones."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest

import devise_tf.models
from devise_tf.images import Crop
from devise_tf.labels import Hierarchy, LabelSet
from devise_tf.models import pretrained
from devise_tf.models.pretrained import load_preset
from devise_tf.models.registry import build_visual_model
from devise_tf.models.sources import PretrainedRun, TrainedRun, open_run
from devise_tf.models.weights_file import save_weights
from devise_tf.packaged import packaged_files
from devise_tf.text import load_vectors, save_vectors
from tests.helpers.tiny_model_dir import DIMENSION, IMAGE_SIZE, LABELS, RESIZE_SIZE, TERMS

TEMPERATURE, WEIGHT = 0.3, 1.5


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder with a preset of random weights, `tiny.json`, and all that it names."""
    folder = tmp_path_factory.mktemp("presets") / "mine"
    folder.mkdir()
    network = build_visual_model("resnet_tiny", len(LABELS), IMAGE_SIZE)
    sha256 = save_weights(network, folder / "softmax.npz")
    LabelSet(list(LABELS), list(LABELS.values())).save(folder / "labels.txt")
    vectors = np.random.default_rng(2).normal(size=(len(TERMS), DIMENSION)).astype(np.float32)
    save_vectors(folder / "vectors.bin", TERMS, vectors, "word2vec_binary")
    (folder / "tree.txt").write_text("".join(f"thing {label}\n" for label in LABELS))
    (folder / "card.md").write_text("# A card\n")
    facts = {
        **{"summary": "A small one.", "licence": "CC0-1.0", "provenance": "Drawn at random.", "model": "profiles"},
        **{"image_size": IMAGE_SIZE, "resize_size": RESIZE_SIZE, "labels": "labels.txt", "vectors": "vectors.bin"},
        **{"hierarchy": "tree.txt", "card": "card.md", "results": {"softmax": {"hit@1": 0.25}}},
    }
    profiles = {"label_terms": "heads", "profile_temperature": TEMPERATURE, "softmax_weight": WEIGHT}
    facts["networks"] = {
        "softmax": {"visual_model": "resnet_tiny", "weights": "softmax.npz", "sha256": sha256},
        "devise": {"ridge": 0.5, "settings": {}},
        "profiles": {"ridge": 2, "settings": profiles},
    }
    (folder / "tiny.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "mine")


@pytest.fixture
def changed(folder):
    """Writes the preset with other entries; None takes an entry away."""

    def change(**entries):
        facts = {**json.loads((folder / "tiny.json").read_text()), **entries}
        (folder / "tiny.json").write_text(json.dumps({key: its for key, its in facts.items() if its is not None}))
        return str(folder / "tiny.json")

    return change


def networks(folder, **entries):
    """The preset's networks, some of whose parts have other entries; None takes one away."""
    found = json.loads((folder / "tiny.json").read_text())["networks"]
    for name, its in entries.items():
        found[name] = {key: value for key, value in {**found.get(name, {}), **its}.items() if value is not None}
    return found


def test_those_that_come_with_the_package():
    found = packaged_files("preset")
    assert devise_tf.models.DEFAULT_PRESET in found
    for name, path in found.items():
        preset = load_preset(name)
        assert preset.path == path and os.path.isabs(path) and preset.name == name
        assert preset.summary and preset.licence and preset.provenance
        assert os.path.isfile(preset.file(preset.card))
        # Nothing of the package is outside of it.
        assert preset.labels.startswith("models/") or "/" not in preset.labels
        assert preset.size() == os.path.getsize(preset.file(preset.networks["softmax"]["weights"])) > 1_000_000
        assert preset.models() == [*preset.networks, "conse"] and preset.model in preset.models()


def test_a_preset_of_ones_own_lies_anywhere(folder, monkeypatch):
    """Files are found beside it, from wherever it is named."""
    for named, cwd in ((str(folder / "tiny.json"), "/"), ("tiny.json", folder), ("../mine/tiny.json", folder)):
        monkeypatch.chdir(cwd)
        preset = load_preset(named)
        assert preset.path == str(folder / "tiny.json") and preset.name == "tiny"
        assert preset.file("labels.txt") == str(folder / "labels.txt")
        assert preset.results == {"softmax": {"hit@1": 0.25}}
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load_preset("~/mine/tiny.json").path == str(folder / "tiny.json")
    packaged = preset.file("models/imagenet/labels_1k.txt")
    assert packaged == os.path.join(os.path.dirname(pretrained.__file__), "imagenet", "labels_1k.txt")
    assert preset.vector_files() == [str(folder / "vectors.bin")]
    assert preset.hierarchy_source() == str(folder / "tree.txt")


def test_names_are_never_those_of_the_working_directory(folder, changed, tmp_path, monkeypatch):
    """They are files beside the preset, else what comes with the package."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    names = ("label_terms_300", "imagenet", "here.bin", "here.txt")
    for name in names:
        (elsewhere / name).write_text("thing n1\n")
    (elsewhere / "wn").mkdir()
    models = os.path.dirname(pretrained.__file__)
    preset = load_preset(changed(vectors="vectors.bin, label_terms_300", hierarchy="imagenet"))
    packaged = os.path.join(models, "skip_gram", "label_terms_300.npz")
    assert preset.vector_files() == [str(folder / "vectors.bin"), packaged]
    assert packaged == packaged_files("vectors")["label_terms_300"]
    for name, path in packaged_files("hierarchy").items():
        assert load_preset(changed(hierarchy=name)).hierarchy_source() == path
    for entries, key, path in (
        ({"vectors": "here.bin"}, "vectors", folder / "here.bin"),
        ({"vectors": "vectors.bin"}, "hierarchy", folder / "here.txt"),
    ):
        with pytest.raises(ValueError) as caught:
            load_preset(changed(hierarchy="here.txt", **entries))
        assert str(caught.value) == (
            f"{folder}/tiny.json: `{key}` not found: there is no {path}, and what comes with the package is "
            f"{', '.join(packaged_files(key))}. Get the file, or correct the name. Received: {key}={path.name!r}"
        )
    with pytest.raises(ValueError, match=f"`hierarchy` not found: there is no {folder}/wn. Get the file"):
        load_preset(changed(vectors="vectors.bin", hierarchy="wordnet:wn"))
    for name in names:
        (folder / name).write_text("thing n1\n")
    (folder / "wn").mkdir()
    preset = load_preset(changed(vectors="here.bin,label_terms_300", hierarchy="imagenet"))
    assert preset.vector_files() == [str(folder / "here.bin"), str(folder / "label_terms_300")]
    assert preset.hierarchy_source() == str(folder / "imagenet")
    for given, found in (("wordnet", "wordnet"), ("wordnet:wn", f"wordnet:{folder}/wn"), ("wordnet:/", "wordnet:/")):
        assert load_preset(changed(hierarchy=given)).hierarchy_source() == found


def test_what_may_be_left_out(changed):
    preset = load_preset(changed(hierarchy=None, card=None, results=None))
    assert (preset.hierarchy, preset.card, preset.results) == ("", "", {})
    assert open_run(preset.path).hierarchy() is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("efficientnet_lite", " Did you mean 'efficientnet_lite0'?"),
        ("efficientnet-lite0", " Did you mean 'efficientnet_lite0'?"),
        ("zebra", ""),
        ("", ""),
        ("runs/nowhere", ""),
        ("nowhere.json", ""),
    ],
)
def test_unknown_names(name, hint, monkeypatch):
    known = ["efficientnet_lite0", "resnet_other"]
    monkeypatch.setattr(pretrained, "packaged_files", lambda kind: dict.fromkeys(known, "/nowhere"))
    for opened in (load_preset, open_run):
        with pytest.raises(ValueError) as caught:
            opened(name)
        assert str(caught.value) == (
            f"This must be a preset, one of {known}, or the model directory of a run (python -m devise_tf.train "
            f"--model_dir=…).{hint} Received: {name!r}"
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "tiny.json must be a preset's, but is not JSON: Expecting value"),
        ('{"summary": "A small one."', "tiny.json must be a preset's, but is not JSON: Expecting ',' delimiter"),
        ("[" * 100_000, "tiny.json must be a preset's, but is not JSON"),
        ("\ufeff{}", "tiny.json must be a preset's, but is not JSON"),
        ("[]", r"tiny.json must be a JSON object. Received: list"),
        ("null", r"tiny.json must be a JSON object. Received: NoneType"),
        ("{}", r"tiny.json lacks summary, licence, .*, networks: it must have summary, .*Received: keys \[\]"),
    ],
)
def test_files_that_are_none(folder, text, message):
    (folder / "tiny.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_preset(str(folder / "tiny.json"))


def test_bytes_that_are_no_text(folder):
    (folder / "tiny.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="tiny.json must be a preset's, but is not JSON"):
        load_preset(str(folder / "tiny.json"))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"licence": None}, r"tiny.json lacks licence: it must have summary, .* Received: keys \['summary'"),
        ({"colour": 3}, r"tiny.json does not know colour: it must have summary, .* and may have hierarchy, card, resu"),
        ({"labels": None, "path": "x"}, "tiny.json lacks labels and does not know path:"),
        ({"image_size": "224"}, "tiny.json: `image_size` must be of type int. Received: image_size='224'"),
        ({"image_size": True}, "tiny.json: `image_size` must be of type int. Received: image_size=True"),
        ({"summary": 1}, "tiny.json: `summary` must be of type str. Received: summary=1"),
        ({"networks": []}, r"tiny.json: `networks` must be of type dict. Received: networks=\[\]"),
        ({"networks": {}}, r"`networks` must have 'softmax', and `model` must be one of \['conse'\]. Received: model="),
        ({"model": "l2"}, r"must be one of \['softmax', 'devise', 'profiles', 'conse'\]. Received: model='l2'"),
        ({"image_size": 0}, "`image_size` must be positive, .* Received: image_size=0, resize_size=28"),
        ({"resize_size": 23}, "`resize_size` not below it. Received: image_size=24, resize_size=23"),
        ({"labels": "no.txt"}, "`labels` not found: there is no .*/mine/no.txt. Get .*: labels='no.txt'"),
        ({"labels": "models/no.txt"}, "`labels` not found: there is .*Received: labels='models/no.txt"),
        (
            {"vectors": "no_such"},
            "tiny.json: `vectors` .* no .*/mine/no_such, and .* is label_terms_300. .*: vectors='no_such'",
        ),
        ({"vectors": "vectors.bin,"}, "tiny.json: `vectors` not found: .* Received: vectors=''"),
        ({"vectors": "no/such"}, "tiny.json: `vectors` .* there is no .*/mine/no/such, and what"),
        ({"hierarchy": "no_tree"}, "tiny.json: `hierarchy` .*/mine/no_tree, and .* imagenet.* Get .*='no_tree'"),
        ({"hierarchy": "wordnet:"}, "tiny.json: `hierarchy` not found: .* Received: hierarchy='wordnet:'"),
        ({"card": "no.md"}, "tiny.json: `card` not found: there is no .*/mine/no.md. .* Received: card='no.md'"),
        ({"results": {"softmax": 3}}, "tiny.json: `results`, `softmax` must be a JSON object. Received: softmax=3"),
        (
            {"results": {"softmax": {"hit@1": "0.5"}}},
            "tiny.json: `results`, 'softmax', `hit@1` must be a finite number. Received: hit@1='0.5'",
        ),
        ({"results": {"conse": {"hit@1": True}}}, "tiny.json: `results`, 'conse', `hit@1` must be a finite number"),
    ],
)
def test_entries_that_are_wrong(changed, entries, message):
    path = changed(**entries)
    with pytest.raises(ValueError, match=message):
        load_preset(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"softmax": {"sha256": None}}, "`networks`, 'softmax' lacks sha256: it must have visual_model, weights, sha2"),
        ({"softmax": {"url": "x"}}, "`networks`, 'softmax' does not know url"),
        ({"devise": {"ridge": None}}, "`networks`, 'devise' lacks ridge: it must have settings, ridge. Received: keys"),
        ({"devise": {"settings": []}}, "`networks`, 'devise', `settings` must be a JSON object. Received: list"),
        (
            {"devise": {"settings": {"loss": "l2"}}},
            "`settings` does not know loss: it may have label_terms, profile_temperature, softmax_weight. Received",
        ),
        ({"softmax": {"weights": "no.npz"}}, "tiny.json: `weights` not found: .* weights='no.npz'"),
        (
            {"softmax": {"weights": 3}},
            "tiny.json: `networks`, 'softmax', `weights` must be a string. Received: weights=3",
        ),
        ({"softmax": {"visual_model": 3}}, "tiny.json: .*, 'softmax', `visual_model` must be a string. Received: vis"),
        ({"softmax": {"sha256": ""}}, "tiny.json: .*, `sha256` must be 64 hexadecimal digits. Received: sha256=''"),
        ({"softmax": {"sha256": 63 * "0" + "g"}}, "`sha256` must be 64 hexadecimal digits"),
        ({"softmax": {"sha256": 64 * "0" + "\n"}}, "`sha256` must be 64 hexadecimal digits"),
        ({"softmax": {"sha256": 0}}, "`sha256` must be 64 hexadecimal digits. Received: sha256=0"),
        *(
            (
                {"devise": {"ridge": value}},
                "tiny.json: `networks`, 'devise', `ridge` must be a positive, finite number.",
            )
            for value in ("3", 0, -1.5, True, [1], 10**400)
        ),
        *(
            (
                {"profiles": {"settings": {key: value}}},
                f"tiny.json: `networks`, 'profiles', `settings`, `{key}` must be {wanted}. Received: {key}=",
            )
            for key, wanted, value in (
                ("label_terms", "one of first, mean, heads", "none"),
                ("label_terms", "one of first, mean, heads", ["mean"]),
                ("profile_temperature", "a positive, finite number", "x"),
                ("profile_temperature", "a positive, finite number", 0),
                ("profile_temperature", "a positive, finite number", None),
                ("softmax_weight", "a finite number, not negative", -1),
                ("softmax_weight", "a finite number, not negative", "1"),
                ("softmax_weight", "left out where there is no `profile_temperature`", 1.5),
            )
        ),
        (
            {"conse": {"ridge": 1, "settings": {}}},
            "tiny.json: `networks`, 'conse' must have another name: .* Received: ",
        ),
        ({"random_0": {"ridge": 1, "settings": {}}}, "tiny.json: `networks`, 'random_0' must have another name"),
    ],
)
def test_networks_that_are_wrong(folder, changed, entries, message):
    path = changed(networks=networks(folder, **entries))
    with pytest.raises(ValueError, match=message):
        load_preset(path)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("NaN", "tiny.json must be a preset's, but is not JSON: NaN is no number of JSON's"),
        ("-Infinity", "tiny.json must be a preset's, but is not JSON: -Infinity is no number of JSON's"),
        ("1e999", "tiny.json: `networks`, 'devise', `ridge` must be a positive, finite number. Received: ridge=inf"),
    ],
)
def test_numbers_that_are_not_finite(folder, number, message):
    text = (folder / "tiny.json").read_text()
    (folder / "tiny.json").write_text(text.replace('"ridge": 0.5', f'"ridge": {number}'))
    with pytest.raises(ValueError, match=message):
        load_preset(str(folder / "tiny.json"))


def test_weights_are_checked(folder, changed):
    weights = folder / "softmax.npz"
    whole = weights.read_bytes()
    path = changed(networks=networks(folder, softmax={"sha256": 64 * "0"}))
    with pytest.raises(
        ValueError, match=r"Cannot load weights: the file's SHA-256 is .*Received: path='.*softmax.npz'"
    ):
        open_run(path).network("softmax")
    with pytest.raises(ValueError, match="the file's SHA-256 is"):  # DeViSE stands on it
        open_run(path).network("devise")
    weights.write_bytes(whole[:-1000])
    with pytest.raises(ValueError, match="the file's SHA-256 is"):
        open_run(path).network("softmax")
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest().upper()
    path = changed(networks=networks(folder, softmax={"sha256": sha256}))
    with pytest.raises(ValueError, match="Cannot load weights: the archive is damaged or truncated"):
        open_run(path).network("softmax")
    weights.write_bytes(whole)
    sha256 = hashlib.sha256(whole).hexdigest()
    path = changed(networks=networks(folder, softmax={"visual_model": "resnet_micro", "sha256": sha256}))
    with pytest.raises(ValueError, match="Cannot load weights: the file must have the model's"):
        open_run(path).network("softmax")
    path = changed(networks=networks(folder, softmax={"visual_model": "resnet_tine"}))
    with pytest.raises(ValueError, match="`name` must be one of .* Did you mean 'resnet_tin[iy]'"):
        open_run(path).network("softmax")
    weights.unlink()
    with pytest.raises(ValueError, match="`weights` not found"):
        open_run(path)


def test_vectors_of_several_files(folder, changed):
    """Files of one space, one after the other; of a term in both, here the cat, the first vector."""
    more = np.random.default_rng(3).normal(size=(3, DIMENSION)).astype(np.float32)
    save_vectors(folder / "more.bin", ["okapi", "cat", "tapir"], more, "word2vec_binary")
    run = open_run(changed(vectors="vectors.bin, more.bin"))
    terms, vectors = run.term_vectors("conse")
    assert terms == [*TERMS, "okapi", "tapir"]
    own = load_vectors(str(folder / "vectors.bin"))[1]
    np.testing.assert_array_equal(vectors, np.concatenate([own, more[[0, 2]]]))
    terms, vectors = run.term_vectors("conse", LabelSet(["a", "b"], [["tapir"], ["cat"]]))
    assert terms == ["cat", "tapir"]
    np.testing.assert_array_equal(vectors, [own[TERMS.index("cat")], more[2]])
    run = open_run(changed(vectors="more.bin,vectors.bin"))
    terms, vectors = run.term_vectors("conse", LabelSet(["a"], [["cat"]]))
    np.testing.assert_array_equal(vectors, more[[1]])


def test_vectors_of_two_dimensions(folder, changed):
    """Also where no term of one of the files is asked for."""
    save_vectors(folder / "more.bin", ["okapi"], np.ones((1, DIMENSION + 1)), "word2vec_binary")
    run = open_run(changed(vectors="vectors.bin,more.bin"))
    received = f"Received: {DIMENSION} in '{folder}/vectors.bin', {DIMENSION + 1} in '{folder}/more.bin'"
    for labels in (None, LabelSet(["a"], [["cat"]])):
        with pytest.raises(ValueError, match=f"must be of one space, and so of one dimension. {received}"):
            run.term_vectors("conse", labels)


def test_labels_without_a_vector_are_named(folder, changed):
    with open(folder / "labels.txt", "a", encoding="utf-8") as file:
        file.write("n6\tokapi\n")
    path = changed(networks=networks(folder))
    with pytest.raises(ValueError, match="Cannot load weights"):  # six labels, and a softmax of five
        open_run(path).network("softmax")
    network = build_visual_model("resnet_tiny", 6, IMAGE_SIZE)
    sha256 = save_weights(network, folder / "softmax.npz")
    run = open_run(changed(networks=networks(folder, softmax={"sha256": sha256})))
    with pytest.raises(ValueError, match=r"1 of 6 labels have no vector: n6 \(okapi\)"):
        run.network("devise")
    table = run.conse(run.network("softmax")).label_vectors.numpy()  # passes over it
    assert table.shape == (6, DIMENSION) and not table[5].any()


def test_a_run_has_what_the_preset_says(folder):
    run = open_run(str(folder / "tiny.json"))
    assert isinstance(run, PretrainedRun)
    assert (run.labels.ids, run.seen, run.unseen) == (list(LABELS), list(LABELS), [])
    assert run.networks() == ["softmax", "devise", "profiles"]
    assert run.crop == Crop(IMAGE_SIZE, RESIZE_SIZE)
    assert sorted(run.hierarchy().parents) == [*LABELS, "thing"]
    assert run.directory == os.path.join(os.getcwd(), "tiny")
    terms, vectors = run.term_vectors("devise")
    expected = load_vectors(str(folder / "vectors.bin"))
    assert terms == expected[0] == TERMS
    np.testing.assert_array_equal(vectors, expected[1])
    for name in ("l2", "conse", "cnn"):
        with pytest.raises(
            ValueError, match=rf"tiny has the models \['softmax', 'devise', 'profiles', 'conse'\]. Received: '{name}'"
        ):
            run.network(name)


def test_models_are_made_of_the_softmax(folder):
    """By the formula: the label vectors of each model, its projection, and the softmax's part of the embedding."""
    run = open_run(str(folder / "tiny.json"))
    softmax = run.network("softmax")
    assert run.network("softmax") is softmax  # once
    with np.load(folder / "softmax.npz", allow_pickle=False) as weights:
        kernel, bias = weights["logits/kernel"].astype(np.float64), weights["logits/bias"]
    pixels = np.random.default_rng(0).uniform(0, 255, (3, IMAGE_SIZE, IMAGE_SIZE, 3)).astype(np.float32)
    logits = softmax(pixels, training=False).numpy().astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    raw = dict(zip(*load_vectors(str(folder / "vectors.bin")), strict=True))
    v = {term: unit(vector.astype(np.float64)) for term, vector in raw.items()}
    red_panda = unit(raw["red"].astype(np.float64) + raw["panda"])
    first = np.stack([v["snow_leopard"], v["cat"], v["dog"], red_panda, v["zebra"]])
    heads = np.stack(
        [unit(v["snow_leopard"] + v["leopard"]), v["cat"], v["dog"], unit(red_panda + v["panda"]), v["zebra"]]
    )
    profiles = unit(np.exp(heads @ heads.T / TEMPERATURE))
    representation = None
    for name, vectors, ridge in (("devise", first, 0.5), ("profiles", profiles, 2.0)):
        centred = kernel - kernel.mean(axis=1, keepdims=True)
        projection = centred @ vectors @ np.linalg.inv(vectors.T @ vectors + ridge * np.eye(vectors.shape[1]))
        model = run.network(name)
        assert model.name == name
        np.testing.assert_allclose(model.label_vectors, vectors, atol=1e-5)
        np.testing.assert_allclose(model.projection.kernel, projection, atol=1e-4)
        outputs = model.visual_model(pixels, training=False)
        representation = outputs if name == "devise" else outputs[0]
        np.testing.assert_allclose(representation @ kernel + bias, logits, atol=1e-4)
        embeddings = representation @ projection
        if name == "profiles":
            embeddings = unit(embeddings) + WEIGHT * unit(probabilities)
        np.testing.assert_allclose(model(pixels, training=False), embeddings, atol=1e-4)
    found = run.model("profiles").open_space().table(LabelSet(["x"], [["polar bear"]]))
    polar_bear = unit(unit(raw["polar"].astype(np.float64) + raw["bear"]) + v["bear"])
    np.testing.assert_allclose(found.values, [unit(np.exp(heads @ polar_bear / TEMPERATURE))], atol=1e-5)


def test_a_directory_of_the_name_of_a_preset(folder, tmp_path, monkeypatch):
    """A model directory is opened; what an evaluation of the preset left is none, and hides nothing."""
    name = devise_tf.models.DEFAULT_PRESET
    monkeypatch.chdir(tmp_path)
    (tmp_path / name / "report").mkdir(parents=True)
    assert isinstance(open_run(name), PretrainedRun)
    with pytest.raises(ValueError, match="`model_dir` must be the directory of a run"):
        open_run(f"./{name}")  # as a path
    with pytest.raises(ValueError, match="`model_dir` must be the directory of a run"):
        open_run(str(folder))
    (tmp_path / name / "flags.txt").write_text("--image_size=24\n")
    LabelSet(["n1"], [["cat"]]).save(tmp_path / name / "labels.txt")
    for named in (name, f"./{name}", str(tmp_path / name)):
        run = open_run(named)
        assert type(run) is TrainedRun and run.labels.ids == ["n1"]


def test_the_hierarchy_of_a_preset_is_whole(changed):
    found = open_run(changed(hierarchy="imagenet")).hierarchy()
    assert found.parents == Hierarchy.open("imagenet").parents
