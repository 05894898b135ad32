"""Presets as data: where they and their files are looked for, and what they may leave out."""

import os

import pytest

import devise_tf.models
from devise_tf.models import pretrained
from devise_tf.models.pretrained import load_preset
from devise_tf.models.sources import open_run
from devise_tf.packaged import packaged_files


def test_packaged_presets_are_complete():
    presets = packaged_files("preset")
    assert devise_tf.models.DEFAULT_PRESET in presets
    for name, path in presets.items():
        preset = load_preset(name)
        assert preset.path == path and os.path.isabs(path) and preset.name == name
        assert preset.summary and preset.licence and preset.provenance
        assert os.path.isfile(preset.file(preset.card))
        # Nothing of the package is outside of it.
        assert preset.labels.startswith("models/") or "/" not in preset.labels
        assert preset.size() == os.path.getsize(preset.file(preset.networks["softmax"]["weights"])) > 1_000_000
        assert preset.models() == [*preset.networks, "conse"] and preset.model in preset.models()


def test_packaged_presets_have_penalties_for_all_models_that_know_new_labels():
    for name in packaged_files("preset"):
        preset = load_preset(name)
        assert sorted(preset.penalties) == sorted(set(preset.models()) - {"softmax"})
        assert all(0 < penalty < 1 for penalty in preset.penalties.values())


def test_preset_file_may_lie_anywhere(folder, monkeypatch):
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


def test_names_never_refer_to_the_working_directory(folder, changed, tmp_path, monkeypatch):
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
    for given, result in (("wordnet", "wordnet"), ("wordnet:wn", f"wordnet:{folder}/wn"), ("wordnet:/", "wordnet:/")):
        assert load_preset(changed(hierarchy=given)).hierarchy_source() == result


def test_hierarchy_card_results_and_penalties_are_optional(changed):
    preset = load_preset(changed(hierarchy=None, card=None, results=None))
    assert (preset.hierarchy, preset.card, preset.results, preset.penalties) == ("", "", {}, {})
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
def test_unknown_name_error_suggests_the_nearest(name, hint, monkeypatch):
    known = ["efficientnet_lite0", "resnet_other"]
    monkeypatch.setattr(pretrained, "packaged_files", lambda kind: dict.fromkeys(known, "/nowhere"))
    for opened in (load_preset, open_run):
        with pytest.raises(ValueError) as caught:
            opened(name)
        assert str(caught.value) == (
            f"This must be a preset, one of {known}, or the model directory of a run (python -m devise_tf.train "
            f"--model_dir=…).{hint} Received: {name!r}"
        )
