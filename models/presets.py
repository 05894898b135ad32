"""Presets of the zoo: pretrained models that come with the package, as data."""

import dataclasses
import difflib
import json
import os
import typing
from collections.abc import Collection

_MODELS = os.path.dirname(os.path.abspath(__file__))
_SOFTMAX_KEYS = ("visual_model", "weights", "sha256")
_HEAD_KEYS = ("settings", "ridge")
_SETTINGS = ("label_terms", "profile_temperature", "softmax_weight")


@dataclasses.dataclass(frozen=True)
class Preset:
    """What a preset's file says.

    Attributes:
        path: Absolute path of the file.
        summary: What it is, in a sentence.
        licence: Of the weights.
        provenance: Where the weights come from.
        model: Name of the model that answers by default, out of `networks`, or `"conse"`.
        image_size: Side of the crops, pixels.
        resize_size: Shorter side of the image that crops are cut from, pixels.
        labels: Label file; relative to the preset's file, or `models/...` for one that comes with the package.
        vectors: Vector files of one space, likewise, or names of packaged vectors; separated by commas.
        networks: `"softmax"` with its `visual_model`, its `weights` (`.npz`, relative to the preset's file) and their
            `sha256`; for each other model the `settings` of a `DeViSE` on the softmax's representation, out of
            `label_terms`, `profile_temperature` and `softmax_weight`, and the `ridge` of its projection, which is
            `closed_form_projection`.
        hierarchy: Hierarchy of the labels: a file, likewise, or what else `--hierarchy` takes; or none.
        card: Card with data, commands, results and limits, relative to the preset's file; or none.
        results: Measured figures by model and name.
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
    hierarchy: str = ""
    card: str = ""
    results: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return os.path.basename(self.path).removesuffix(".json")

    def file(self, name: str) -> str:
        """The path of a file that the preset names."""
        own = os.path.join(os.path.dirname(self.path), name)
        return os.path.join(_MODELS, name.removeprefix("models/")) if name.startswith("models/") else own

    def file_or_name(self, name: str) -> str:
        """The path of a file that the preset names, or the name itself where there is no such file."""
        return self.file(name) if os.path.isfile(self.file(name)) else name

    def models(self) -> list[str]:
        """The names of its models."""
        return [*self.networks, "conse"]

    def size(self) -> int:
        """Bytes of the softmax network's weights."""
        return os.path.getsize(self.file(self.networks["softmax"]["weights"]))


def preset_paths() -> dict[str, str]:
    """The presets that come with the package: paths by name."""
    found = {}
    for folder in sorted(os.listdir(_MODELS)):
        if os.path.isdir(os.path.join(_MODELS, folder)):
            names = sorted(os.listdir(os.path.join(_MODELS, folder)))
            found |= {name[:-5]: os.path.join(_MODELS, folder, name) for name in names if name.endswith(".json")}
    return found


def load_preset(name: str) -> Preset:
    """Reads a preset.

    Args:
        name: Its name, or the path of a preset's file (`.json`).

    Raises:
        ValueError: There is none of that name, the nearest one is suggested; or the file is not a preset's, what is
            wrong in it is named.
    """
    path = os.path.abspath(os.path.expanduser(name)) if name.endswith(".json") else preset_paths().get(name)
    if path is None or not os.path.isfile(path):
        known = sorted(preset_paths())
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(
            f"This must be a preset, one of {known}, or the model directory of a run (python -m devise_tf.train "
            f"--model_dir=…).{hint} Received: {name!r}"
        )
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be a preset's, but is not JSON: {error}. Received: {name!r}") from error
    _check(path, found)
    preset = Preset(path=path, **found)
    for key, value in (("labels", preset.labels), ("weights", preset.networks["softmax"]["weights"])):
        if not os.path.isfile(preset.file(value)):
            raise ValueError(
                f"{path}: `{key}` must name a file that is there, and {preset.file(value)} is not: get it, or correct "
                f"the name. Received: {key}={value!r}"
            )
    return preset


def _check(path: str, found: object) -> None:
    """Holds what a file says against what a preset has."""
    fields = [field for field in dataclasses.fields(Preset) if field.name != "path"]
    optional = [f.name for f in fields if {f.default, f.default_factory} != {dataclasses.MISSING}]
    _check_keys(path, found, [field.name for field in fields if field.name not in optional], optional)
    for field in fields:
        wanted = typing.get_origin(field.type) or field.type
        if field.name in found and type(found[field.name]) is not wanted:
            raise ValueError(
                f"{path}: `{field.name}` must be of type {wanted.__name__}. "
                f"Received: {field.name}={found[field.name]!r}"
            )
    networks, sizes = found["networks"], (found["image_size"], found["resize_size"])
    if "softmax" not in networks or found["model"] not in [*networks, "conse"]:
        raise ValueError(
            f"{path}: `networks` must have 'softmax', and `model` must be one of {[*networks, 'conse']}. "
            f"Received: model={found['model']!r}"
        )
    if not 1 <= sizes[0] <= sizes[1]:
        raise ValueError(
            f"{path}: `image_size` must be positive, and `resize_size` not below it. "
            f"Received: image_size={sizes[0]}, resize_size={sizes[1]}"
        )
    for name, part in networks.items():
        where = f"{path}: `networks`, {name!r}"
        _check_keys(where, part, _SOFTMAX_KEYS if name == "softmax" else _HEAD_KEYS)
        if name != "softmax":
            _check_keys(f"{where}, `settings`", part["settings"], (), _SETTINGS)


def _check_keys(where: str, found: object, needed: Collection[str], optional: Collection[str] = ()) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"{where} must be a JSON object. Received: {type(found).__name__}")
    missing, unknown = [key for key in needed if key not in found], [k for k in found if k not in {*needed, *optional}]
    if missing or unknown:
        wrong = [f"lacks {', '.join(missing)}"] if missing else []
        wrong += [f"does not know {', '.join(unknown)}"] if unknown else []
        right = [f"must have {', '.join(needed)}"] if needed else []
        right += [f"may have {', '.join(optional)}"] if optional else []
        raise ValueError(f"{where} {' and '.join(wrong)}: it {' and '.join(right)}. Received: keys {list(found)}")
