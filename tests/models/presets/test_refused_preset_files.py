"""What is said of preset files that hold something wrong."""

import pytest

from devise_tf.models.pretrained import load_preset
from tests.helpers.preset_files import networks


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "tiny.json must be a preset file, but is not JSON: Expecting value"),
        ('{"summary": "A small one."', "tiny.json must be a preset file, but is not JSON: Expecting ',' delimiter"),
        ("[" * 100_000, "tiny.json must be a preset file, but is not JSON"),
        ("\ufeff{}", "tiny.json must be a preset file, but is not JSON"),
        ("[]", r"tiny.json must be a JSON object. Received: list"),
        ("null", r"tiny.json must be a JSON object. Received: NoneType"),
        ("{}", r"tiny.json lacks summary, licence, .*, networks: it must have summary, .*Received: keys \[\]"),
    ],
)
def test_files_that_are_not_presets_are_refused(folder, text, message):
    (folder / "tiny.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_preset(str(folder / "tiny.json"))


def test_files_that_are_not_text_are_refused(folder):
    (folder / "tiny.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="tiny.json must be a preset file, but is not JSON"):
        load_preset(str(folder / "tiny.json"))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"licence": None}, r"tiny.json lacks licence: it must have summary, .* Received: keys \['summary'"),
        (
            {"color": 3},
            r"tiny.json has unknown keys \(color\): it must have summary, .* and may have described, hierarchy, card",
        ),
        ({"labels": None, "path": "x"}, r"tiny.json lacks labels and has unknown keys \(path\):"),
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
        ({"penalties": [0.1]}, r"tiny.json: `penalties` must be of type dict. Received: penalties=\[0.1\]"),
        (
            {"penalties": {"softmax": 0.1}},
            r"`penalties` has unknown keys \(softmax\): it may have devise, profiles, conse. Received: keys",
        ),
        *(
            (
                {"penalties": {"devise": value}},
                "tiny.json: `penalties`, `devise` must be a finite number, not negative. Received: devise=",
            )
            for value in ("0.1", -0.1, True, None, 10**400)
        ),
    ],
)
def test_wrong_entries_are_named(changed, entries, message):
    path = changed(**entries)
    with pytest.raises(ValueError, match=message):
        load_preset(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"softmax": {"sha256": None}}, "`networks`, 'softmax' lacks sha256: it must have visual_model, weights, sha2"),
        ({"softmax": {"url": "x"}}, r"`networks`, 'softmax' has unknown keys \(url\)"),
        ({"devise": {"ridge": None}}, "`networks`, 'devise' lacks ridge: it must have settings, ridge. Received: keys"),
        ({"devise": {"settings": []}}, "`networks`, 'devise', `settings` must be a JSON object. Received: list"),
        (
            {"devise": {"settings": {"loss": "l2"}}},
            r"`settings` has unknown keys \(loss\): it may have label_terms, profile_temperature, softmax_weight. Re",
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
                ("softmax_weight", "left out if there is no `profile_temperature`", 1.5),
            )
        ),
        (
            {"conse": {"ridge": 1, "settings": {}}},
            "tiny.json: `networks`, 'conse' must have another name: .* Received: ",
        ),
        ({"random_0": {"ridge": 1, "settings": {}}}, "tiny.json: `networks`, 'random_0' must have another name"),
        ({"softmax_b": {"ridge": 1, "settings": {}}}, "tiny.json: `networks`, 'softmax_b' must have another name"),
    ],
)
def test_wrong_entries_of_networks_are_named(folder, changed, entries, message):
    path = changed(networks=networks(folder, **entries))
    with pytest.raises(ValueError, match=message):
        load_preset(path)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("NaN", "tiny.json must be a preset file, but is not JSON: NaN is not a number in JSON"),
        ("-Infinity", "tiny.json must be a preset file, but is not JSON: -Infinity is not a number in JSON"),
        ("1e999", "tiny.json: `networks`, 'devise', `ridge` must be a positive, finite number. Received: ridge=inf"),
    ],
)
def test_numbers_that_are_not_finite_are_refused(folder, number, message):
    text = (folder / "tiny.json").read_text()
    (folder / "tiny.json").write_text(text.replace('"ridge": 0.5', f'"ridge": {number}'))
    with pytest.raises(ValueError, match=message):
        load_preset(str(folder / "tiny.json"))
