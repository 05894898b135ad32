import dataclasses

import pytest

from devise_tf import choices
from devise_tf.config import FREE, RECIPES, Config, Settings


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
        ({"val_share": 1.0}, "`val_share` must be below 1. Received: val_share=1"),
        ({"vectors": "vectors.bin"}, "`corpus` to train vectors or `vectors` to bring them, not both"),
        ({"corpus": ""}, "Phase 1 needs `corpus`, or `vectors`"),
        ({"images": ""}, "Phase 'all' needs `images`"),
        (
            {"corpus": "", "vectors": "v", "train_label_vectors": True, "label_terms": "first"},
            "`train_label_vectors` needs `corpus`",
        ),
        ({"train_label_vectors": True, "finetune_epochs": 0.0}, "`train_label_vectors` needs `finetune_epochs`"),
        ({"train_label_vectors": True, "label_terms": "mean"}, "`train_label_vectors` .*Received: label_terms='mean'"),
        ({"train_label_vectors": True, "label_profiles": True}, "`train_label_vectors` .*label_profiles=True"),
        ({"label_terms": "all"}, "`label_terms` must be one of .*Received: label_terms='all'"),
        ({"temperature": 0.0}, "`temperature` must be positive. Received: temperature=0"),
        ({"temperature": -0.1}, "`temperature` must not be negative"),
        ({"profile_temperature": 0.0}, "`profile_temperature` must be positive. Received: profile_temperature=0"),
        ({"softmax_weight": 1.0, "finetune_epochs": 0.0}, "`softmax_weight` needs `label_profiles`"),
        ({"softmax_weight": 1.0, "label_profiles": True}, "`softmax_weight` needs .*finetune_epochs=2.0"),
        ({"compare": "l2, l3,none"}, r"`compare` must name some of \['l2'.*Received: \['l3', 'none'\]"),
        ({"phrases": -1}, "`phrases` must not be negative"),
        ({"phrases": 1, "phrase_threshold": 0.0}, "`phrases` needs .*Received: phrase_threshold=0.0"),
        ({"phrases": 1, "phrase_min_count": 0}, "`phrases` needs .*phrase_min_count=0"),
        ({"cnn_epochs": 0.0}, "`cnn_epochs` must be positive, or `visual_weights` name.*Received: cnn_epochs=0.0"),
        ({"dtype": "half"}, "`dtype` must be one of .*'mixed_bfloat16', .*Received: dtype='half'"),
        ({"dtype": "float16"}, "`dtype` float16 is too coarse .*mixed_bfloat16 .*frozen_layers=''"),
        ({"dtype": "float16", "frozen_layers": "stem"}, "`dtype` float16 is too coarse .*frozen_layers='stem'"),
        ({"dtype": "float16", "cnn_epochs": 0.0, "visual_weights": "imagenet"}, "`dtype` float16 is too coarse"),
        ({"image_size": 40, "resize_size": 39}, "`resize_size` must not be smaller than `image_size`"),
    ],
)
def test_invalid_values_are_named_with_what_was_expected(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_single_phase_needs_only_what_it_reads():
    make(phase="skip_gram", images="")
    make(phase="cnn", corpus="")


LATER = ("max_bad_rows", "tokenizer", "val_share", "visual_weights", "frozen_layers", "dtype", "descriptions", "ridge")


def test_free_and_later_settings():
    """They are written down here once more: `flags.txt` of runs made before depends on them."""
    fields = dataclasses.fields(Config)
    assert tuple(field.name for field in fields if field.metadata["later"]) == LATER
    free = ("model_dir", "phase", "strategy", "data_dir", "log_every", "checkpoint_seconds", "verbose")
    assert FREE == (*free, "max_bad_rows", "skip_gram_threads")


def test_float16_is_allowed_where_nothing_is_trained():
    make(dtype="float16", frozen_layers="all")
    make(dtype="float16", cnn_epochs=0.0, finetune_epochs=0.0, visual_weights="imagenet")


def test_flags_file_omits_later_settings_at_their_defaults():
    everything = dataclasses.asdict(make())
    assert make().bound() == {name: value for name, value in everything.items() if name not in LATER}
    assert make(dtype="bfloat16").bound() == {**make().bound(), "dtype": "bfloat16"}


def test_settings_are_read_from_flags():
    """What is missing, empty or unknown is at its default or ignored; a run's own flags give its settings."""
    assert Settings.from_flags({"image_size": "24", "phrases": "", "a": "b=c"}) == Settings(image_size=24)
    config = make(label_profiles=True, finetune_epochs=0.0, seed=7, sample=1e-5, dtype="bfloat16")
    flags = {name: str(value) for name, value in config.bound().items()}
    assert dataclasses.asdict(Settings.from_flags(flags)) == dataclasses.asdict(config)
    for flag, message in (
        ({"image_size": "large"}, "`image_size` must be of type int. Received: --image_size=large"),
        ({"label_profiles": "yes"}, "`label_profiles` must be of type bool. Received: --label_profiles=yes"),
        ({"phase": "cnns"}, "`phase` must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            Settings.from_flags(flag)


def test_choices_are_listed_once():
    named = {field.name: field.metadata["choices"] for field in dataclasses.fields(Config)}
    assert named["missing_labels"] == tuple(choices.MISSING_LABELS)
    assert named["label_terms"] == choices.LABEL_TERMS
    assert named["devise_loss"] == choices.LOSSES
    assert named["dtype"] == choices.DTYPES


def test_every_setting_has_a_help_text_and_a_typed_default():
    for field in dataclasses.fields(Config):
        assert field.metadata["help"].endswith(".")
        assert field.type in (str, int, float, bool)
        assert type(field.default) is field.type


def test_default_learning_rates_of_phase_3_depend_on_the_loss():
    assert make().devise_rates() == make(devise_loss="hardest").devise_rates() == (0.3, 0.1, 0.01)
    assert make(devise_loss="softmax").devise_rates() == (0.3, 0.1, 0.01)
    assert make(devise_loss="sum").devise_rates() == make(devise_loss="l2").devise_rates() == (0.03, 0.01, 0.002)
    assert make(devise_loss="l2", finetune_cnn_learning_rate=0.5).devise_rates() == (0.03, 0.01, 0.5)


def test_command_line_holds_what_differs_from_the_defaults():
    assert set(make(seed=3).command_line()) == {*make().command_line(), "--seed=3"}


def test_recipe_changes_only_the_settings_that_it_names():
    """Not its learning rates, which go with its loss, nor its label vectors, which are the paper's by default."""
    config = make(
        compare=" l2,,profiles ", devise_loss="softmax", label_terms="random", label_profiles=True, margin=0.7,
        projection_learning_rate=9.0, finetune_projection_learning_rate=9.0, finetune_cnn_learning_rate=9.0,
    )  # fmt: skip
    assert config.compared() == ["l2", "profiles"] and make().compared() == []
    l2 = config.recipe("l2")
    assert (l2.devise_loss, l2.label_terms, l2.label_profiles, l2.margin) == ("l2", "first", False, 0.7)
    assert l2.devise_rates() == (0.03, 0.01, 0.002)
    own = make(corpus="text.txt", train_label_vectors=True, label_terms="first")
    for name, settings in RECIPES.items():
        made = dataclasses.asdict(own.recipe(name))
        plain = {**dataclasses.asdict(own), "train_label_vectors": False, **settings}
        assert made == plain
    words = config.without_words()
    assert (words.label_terms, words.label_profiles, words.devise_loss) == ("first", False, "softmax")
    assert words.projection_learning_rate == 9.0
