import dataclasses

import pytest

from devise_tf.data.label_vectors import MISSING
from devise_tf.training import Config
from devise_tf.training.config import FREE, MISSING_LABELS


def make(**changes):
    return Config(**{"model_dir": "run", "corpus": "text.txt", "images": "folder:photos"} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_dir": ""}, "`model_dir` must name a directory"),
        ({"phase": "cnns"}, "`phase` must be one of .*Received: phase='cnns'"),
        ({"strategy": "tpu"}, "`strategy` must be one of"),
        ({"devise_loss": "two"}, "`devise_loss` must be one of"),
        ({"missing_labels": "guess"}, "`missing_labels` must be one of"),
        ({"dimension": 0}, "`dimension` must be positive. Received: dimension=0"),
        ({"log_every": 0}, "`log_every` must be positive"),
        ({"cnn_learning_rate": -0.1}, "`cnn_learning_rate` must not be negative. Received: cnn_learning_rate=-0.1"),
        ({"cnn_epochs": float("nan")}, "`cnn_epochs` must be finite"),
        ({"margin": float("inf")}, "`margin` must be finite"),
        ({"seed": 2**31 - 1}, "`seed` must be below"),
        ({"max_bad_images": 1.5}, "`max_bad_images` must not be above 1"),
        ({"vectors": "vectors.bin"}, "`corpus` to train vectors or `vectors` to bring them, not both"),
        ({"corpus": ""}, "Phase 1 needs `corpus`, or `vectors`"),
        ({"images": ""}, "Phase 'all' needs `images`"),
        ({"corpus": "", "vectors": "v.bin", "train_label_vectors": True}, "`train_label_vectors` needs `corpus`"),
        ({"train_label_vectors": True, "finetune_epochs": 0.0}, "`train_label_vectors` needs `finetune_epochs`"),
        ({"phrases": -1}, "`phrases` must not be negative"),
        ({"phrases": 1, "phrase_threshold": 0.0}, "`phrases` needs .*Received: phrase_threshold=0.0"),
        ({"phrases": 1, "phrase_min_count": 0}, "`phrases` needs .*phrase_min_count=0"),
        ({"image_size": 40, "resize_size": 39}, "`resize_size` must not be smaller than `image_size`"),
    ],
)
def test_values_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_a_phase_needs_its_own_input_only():
    make(phase="skip_gram", images="")
    make(phase="cnn", corpus="")


def test_free_settings_are_settings():
    assert set(FREE) < {field.name for field in dataclasses.fields(Config)}


def test_choices_are_those_of_the_library():
    assert MISSING_LABELS == MISSING


def test_every_setting_says_what_it_is():
    for field in dataclasses.fields(Config):
        assert field.metadata["help"].endswith(".")
        assert field.type in (str, int, float, bool)
        assert type(field.default) is field.type


def test_learning_rates_of_phase_3_go_with_the_loss():
    assert make().devise_rates() == make(devise_loss="hardest").devise_rates() == (0.3, 0.1, 0.01)
    assert make(devise_loss="sum").devise_rates() == make(devise_loss="l2").devise_rates() == (0.03, 0.01, 0.002)
    assert make(devise_loss="l2", finetune_cnn_learning_rate=0.5).devise_rates() == (0.03, 0.01, 0.5)


def test_the_command_line_is_what_differs():
    assert set(make(seed=3).command_line()) == {*make().command_line(), "--seed=3"}
