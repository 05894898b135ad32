"""Presets of the zoo: pretrained models that come with the package, as data."""

import dataclasses
import json
import os
import re
import sys
import typing
from collections.abc import Callable, Collection, Mapping

from devise_tf.choices import LABEL_TERMS, did_you_mean
from devise_tf.models.model_names import CONSE, OTHER_KINDS, SOFTMAX, kind
from devise_tf.packaged import models_folder, packaged_files

_SOFTMAX_KEYS = ("visual_model", "weights", "sha256")
_HEAD_KEYS = ("settings", "ridge")
_SETTINGS = ("label_terms", "profile_temperature", "softmax_weight")
# Random terms are for training.
_LABEL_TERMS = tuple(terms for terms in LABEL_TERMS if terms != "random")


@dataclasses.dataclass(frozen=True)
class Preset:
    """What a preset's file says.

    Args:
        path: String. Absolute path of the file.
        summary: String. What the preset is, in a sentence.
        licence: String. License of the weights.
        provenance: String. Where the weights come from.
        model: String. The model that answers by default: one of `networks`, or `"conse"`.
        image_size: Integer. Height and width of the crops, in pixels.
        resize_size: Integer. Shorter side of the resized image that crops are cut from, in pixels.
        labels: String. Label file, relative to the preset's file, or `models/...` for one of the package.
        vectors: String. Vector files of one space, likewise, or names of packaged vectors; separated by commas. If a
            term is in several of them, the first vector counts.
        networks: Dict. `"softmax"` has a `visual_model`, its `weights` (`.npz`, relative to the preset's file) and
            their `sha256`. Each other model has the `settings` of a `DeViSE` on the softmax's representation, out of
            `label_terms`, `profile_temperature` and `softmax_weight`, and the `ridge` of its projection, which is
            `closed_form_projection`.
        described: String. Vector file of described labels, likewise, in the space of `vectors` and before them; empty
            for none. See `devise_tf.labels.described_vectors`.
        hierarchy: String. Hierarchy of the labels: a file, likewise, the name of a packaged one, `wordnet`, or
            `wordnet:DIR` with a folder relative to the preset's file; empty for none.
        card: String. Card with data, commands, results and limits, relative to the preset's file; empty for none.
        results: Dict. Measured figures by model and name.
        penalties: Dict. What trained labels lose beside others, by model; none for models that it leaves out. See
            `devise_tf.labels.Penalty`.
    """

    path: str
    summary: str
    licence: str
    provenance: str
    model: str
    image_size: int
    resize_size: int
    labels: str
    vectors: str
    networks: dict[str, dict]
    described: str = ""
    hierarchy: str = ""
    card: str = ""
    results: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    penalties: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return os.path.basename(self.path).removesuffix(".json")

    @property
    def softmax(self) -> dict[str, str]:
        """The softmax network's entry of `networks`."""
        return self.networks[SOFTMAX]

    def file(self, name: str) -> str:
        """The path of a file that the preset names."""
        if name.startswith("models/"):
            return str(models_folder() / name.removeprefix("models/"))
        return os.path.join(os.path.dirname(self.path), name)

    def vector_files(self) -> list[str]:
        """The paths of its vector files, that of described labels first."""
        names = [name.strip() for name in self.vectors.split(",")]
        paths = [self._existing("vectors", name, packaged_files("vectors")) for name in names]
        return [self._existing("described", self.described), *paths] if self.described else paths

    def described_terms(self) -> frozenset[str]:
        """What described labels are called."""
        from devise_tf.text.vector_file import load_terms  # loads NumPy, which listing presets need not wait for

        return frozenset(load_terms(self._existing("described", self.described))) if self.described else frozenset()

    def hierarchy_source(self) -> str:
        """What `Hierarchy.open` takes: the path of a file, `wordnet`, or `wordnet:` and a path; empty for none."""
        kind, _, folder = self.hierarchy.partition(":")
        if kind == "wordnet" and folder:
            return f"wordnet:{self._existing('hierarchy', os.path.expanduser(folder), exists=os.path.isdir)}"
        if self.hierarchy in ("", "wordnet"):
            return self.hierarchy
        return self._existing("hierarchy", self.hierarchy, packaged_files("hierarchy"))

    def check_files(self) -> None:
        """Raises a `ValueError` that names the first missing file."""
        self._existing("labels", self.labels)
        self._existing("weights", self.softmax["weights"])
        self.vector_files()
        self.hierarchy_source()
        if self.card:
            self._existing("card", self.card)

    def _existing(
        self,
        key: str,
        name: str,
        packaged: Mapping[str, str] | None = None,
        exists: Callable[[str], bool] = os.path.isfile,
    ) -> str:
        """The path of what the preset names: a file beside it, or else one of `packaged`, paths by name."""
        path = self.file(name)
        if exists(path):
            return path
        if packaged and name in packaged:
            return packaged[name]
        others = f", and what comes with the package is {', '.join(packaged)}" if packaged else ""
        raise ValueError(
            f"{self.path}: `{key}` not found: there is no {path}{others}. Get the file, or correct the name. "
            f"Received: {key}={name!r}"
        )

    def models(self) -> list[str]:
        """The names of its models."""
        return [*self.networks, CONSE]

    def heads(self, fused: bool) -> list[str]:
        """The names of its DeViSE models, either those with the softmax in their embedding or the others."""
        heads = dict(self.networks)
        del heads[SOFTMAX]
        return [name for name, head in heads.items() if bool(head["settings"].get("softmax_weight")) == fused]

    def label_terms(self, model: str) -> str:
        """What the label vectors of one of its models are made of; of first terms where its entry does not say."""
        return self.networks.get(model, {}).get("settings", {}).get("label_terms", "first")

    def num_labels(self) -> int:
        """The number of its labels, which are the softmax's outputs."""
        from devise_tf.labels import LabelSet  # loads NumPy, which listing presets need not wait for

        return len(LabelSet.load(self.file(self.labels)))

    def size(self) -> int:
        """Bytes of the softmax network's weights."""
        return os.path.getsize(self.file(self.softmax["weights"]))


def load_preset(name: str) -> Preset:
    """Reads a preset.

    Args:
        name: String. Name of the preset, or the path of a preset's file (`.json`).

    Returns:
        A `Preset`.

    Raises:
        ValueError: There is no such preset; the nearest name is suggested. Or the file is not that of a preset; what
            is wrong is named.
    """
    path = os.path.abspath(os.path.expanduser(name)) if name.endswith(".json") else packaged_files("preset").get(name)
    if path is None or not os.path.isfile(path):
        known = list(packaged_files("preset"))
        raise ValueError(
            f"This must be a preset, one of {known}, or the model directory of a run (python -m devise_tf.train "
            f"--model_dir=…).{did_you_mean(name, known)} Received: {name!r}"
        )
    try:
        with open(path, encoding="utf-8") as file:
            entries = json.load(file, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be a preset file, but is not JSON: {error}. Received: {name!r}") from error
    _check(path, entries)
    preset = Preset(path=path, **entries)
    preset.check_files()
    return preset


def _check(path: str, entries: typing.Any) -> None:
    """Raises a `ValueError` that names what is wrong in a preset's file."""
    fields = [field for field in dataclasses.fields(Preset) if field.name != "path"]
    optional = [f.name for f in fields if {f.default, f.default_factory} != {dataclasses.MISSING}]
    _check_keys(path, entries, [field.name for field in fields if field.name not in optional], optional)
    for field in fields:
        expected: typing.Any = typing.get_origin(field.type) or field.type
        if field.name in entries and type(entries[field.name]) is not expected:
            raise ValueError(
                f"{path}: `{field.name}` must be of type {expected.__name__}. "
                f"Received: {field.name}={entries[field.name]!r}"
            )
    networks, sizes = entries["networks"], (entries["image_size"], entries["resize_size"])
    if SOFTMAX not in networks or entries["model"] not in [*networks, CONSE]:
        raise ValueError(
            f"{path}: `networks` must have {SOFTMAX!r}, and `model` must be one of {[*networks, CONSE]}. "
            f"Received: model={entries['model']!r}"
        )
    if not 1 <= sizes[0] <= sizes[1]:
        raise ValueError(
            f"{path}: `image_size` must be positive, and `resize_size` not below it. "
            f"Received: image_size={sizes[0]}, resize_size={sizes[1]}"
        )
    heads = dict(networks)
    _check_softmax(f"{path}: `networks`, {SOFTMAX!r}", heads.pop(SOFTMAX))
    for name, head in heads.items():
        _check_head(f"{path}: `networks`, {name!r}", name, head)
    for name, figures in entries.get("results", {}).items():
        _require(isinstance(figures, dict), f"{path}: `results`", name, "a JSON object", figures)
        for key, value in figures.items():
            _require(_is_number(value), f"{path}: `results`, {name!r}", key, "a finite number", value)
    penalties = entries.get("penalties", {})
    _check_keys(f"{path}: `penalties`", penalties, (), [*heads, CONSE])
    for name, value in penalties.items():
        _require(_is_number(value) and value >= 0, f"{path}: `penalties`", name, "a finite number, not negative", value)


def _check_softmax(where: str, network: typing.Any) -> None:
    _check_keys(where, network, _SOFTMAX_KEYS)
    for key in ("visual_model", "weights"):
        _require(isinstance(network[key], str), where, key, "a string", network[key])
    digits = isinstance(network["sha256"], str) and re.fullmatch("[0-9a-fA-F]{64}", network["sha256"])
    _require(bool(digits), where, "sha256", "64 hexadecimal digits", network["sha256"])


def _check_head(where: str, name: str, head: typing.Any) -> None:
    if kind(name) in OTHER_KINDS:
        raise ValueError(
            f"{where} must have another name: {', '.join(map(repr, OTHER_KINDS))} and what follows them after `_` are "
            f"names of other models. Received: {name!r}"
        )
    _check_keys(where, head, _HEAD_KEYS)
    _require(_is_positive(head["ridge"]), where, "ridge", "a positive, finite number", head["ridge"])
    _check_settings(f"{where}, `settings`", head["settings"])


def _check_settings(where: str, settings: typing.Any) -> None:
    _check_keys(where, settings, (), _SETTINGS)
    terms, temperature = settings.get("label_terms", _LABEL_TERMS[0]), settings.get("profile_temperature", 1)
    weight = settings.get("softmax_weight", 0)
    _require(terms in _LABEL_TERMS, where, "label_terms", f"one of {', '.join(_LABEL_TERMS)}", terms)
    _require(_is_positive(temperature), where, "profile_temperature", "a positive, finite number", temperature)
    _require(_is_number(weight) and weight >= 0, where, "softmax_weight", "a finite number, not negative", weight)
    has_profile = "softmax_weight" not in settings or "profile_temperature" in settings
    _require(has_profile, where, "softmax_weight", "left out if there is no `profile_temperature`", weight)


def _require(holds: bool, where: str, key: str, expected: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{where}, `{key}` must be {expected}. Received: {key}={value!r}")


def _is_number(value: typing.Any) -> bool:
    # Neither a bool, nor what a float cannot hold: JSON has integers of any length, and 1e999.
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _is_positive(value: typing.Any) -> bool:
    return _is_number(value) and value > 0


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _check_keys(where: str, entries: typing.Any, required: Collection[str], optional: Collection[str] = ()) -> None:
    if not isinstance(entries, dict):
        raise ValueError(f"{where} must be a JSON object. Received: {type(entries).__name__}")
    missing = [key for key in required if key not in entries]
    unknown = [key for key in entries if key not in {*required, *optional}]
    if missing or unknown:
        wrong = [f"lacks {', '.join(missing)}"] if missing else []
        wrong += [f"has unknown keys ({', '.join(unknown)})"] if unknown else []
        right = [f"must have {', '.join(required)}"] if required else []
        right += [f"may have {', '.join(optional)}"] if optional else []
        raise ValueError(f"{where} {' and '.join(wrong)}: it {' and '.join(right)}. Received: keys {list(entries)}")
