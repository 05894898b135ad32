"""What names are taken for that stand for described labels."""

import numpy as np

import devise_tf.models
from devise_tf import predict
from devise_tf.labels import LabelSet, WordSpace
from devise_tf.labels.senses import senses_by_name
from tests.helpers.commands import call
from tests.helpers.image_files import encode, noise

DESCRIBED = ["kite_(bird)", "kite_(toy)", "kite", "drone_(aircraft)", "drone", "n00000001", "crane", "crane_(machine)"]
OTHERS = ["bat_(animal)", "n00000002", "cat"]


def test_names_with_senses():
    """`bat` has no vector of a described label, and one sense without brackets needs no word."""
    vectors = np.random.default_rng(0).normal(size=(11, 4))
    space = WordSpace([*DESCRIBED, *OTHERS], vectors, described=frozenset([*DESCRIBED, *OTHERS]))
    labels = LabelSet(["n00000001", "n00000002", "n00000003"], [["Crane"], ["cat"], ["kite"]])
    assert senses_by_name(space, labels) == {
        "kite": ["kite (bird)", "kite (toy)"],
        "drone": ["drone (aircraft)"],
        "crane": ["crane (machine)", "n00000001"],
    }


def test_command_says_what_was_taken(tmp_path):
    (tmp_path / "photo.png").write_bytes(encode(noise(), "png"))
    named = "kite,a photo of a Drone,zebra,bat (animal),bat"
    status, out, err = call(predict.run, str(tmp_path / "photo.png"), f"--labels={named}")
    assert status == 0 and "zebra" in out
    lines = [line for line in err.splitlines() if " is taken for " in line]
    assert lines == [
        "'kite' is taken for the mean of 'kite (bird)', 'kite (toy)', 'n01608432'; name one of them for that alone",
        "'a photo of a Drone' is taken for 'drone (aircraft)'",
        "'bat' is taken for the mean of 'bat (animal)', 'bat (baseball)'; name one of them for that alone",
    ]
    predictor = devise_tf.models.load()
    means = predictor.known(["kite", "kite (bird)", "kite (toy)", "n01608432"]).values.numpy()
    assert len(np.unique(means.round(4), axis=0)) == 4
    assert predictor.senses(["kite (bird)", "zebra", "no such thing"]) == {}
    assert devise_tf.models.load(model="softmax").senses(["kite"]) == {}
