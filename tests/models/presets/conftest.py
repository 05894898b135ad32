"""A preset of random weights in a folder of its own."""

import json
import shutil

import numpy as np
import pytest

from devise_tf.labels import LabelSet
from devise_tf.models.registry import build_visual_model
from devise_tf.models.weights_file import save_weights
from devise_tf.text import save_vectors
from tests.helpers.preset_files import TEMPERATURE, WEIGHT
from tests.helpers.tiny_model_dir import DIMENSION, IMAGE_SIZE, LABELS, RESIZE_SIZE, TERMS


@pytest.fixture(scope="session")
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
    """Writes the preset with changed entries; None removes one."""

    def change(**entries):
        facts = {**json.loads((folder / "tiny.json").read_text()), **entries}
        (folder / "tiny.json").write_text(json.dumps({key: value for key, value in facts.items() if value is not None}))
        return str(folder / "tiny.json")

    return change
