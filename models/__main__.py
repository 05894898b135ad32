"""The zoo's pretrained models: what there is, and what each is.

  python -m devise_tf.models list
  python -m devise_tf.models show efficientnet_lite0

`show` takes a model directory or a preset's file (.json) too. A name goes wherever a command takes --model_dir:

  python -m devise_tf.predict photo.jpg --model_dir=efficientnet_lite0
  python -m devise_tf.evaluate --model_dir=efficientnet_lite0 --images=folder:photos
  python -m devise_tf.export --model_dir=efficientnet_lite0 --export_dir=serving/lite0
"""

import os
import sys
from typing import TYPE_CHECKING

from absl import flags

from devise_tf import command
from devise_tf.models.pretrained import load_preset
from devise_tf.packaged import packaged_files

if TYPE_CHECKING:
    from devise_tf.model_dir import ModelDir


def main(arguments: list[str], _: flags.FlagValues) -> None:
    action, *names = arguments or [""]
    if action == "list" and not names:
        print(listing())
    elif action == "show" and len(names) == 1:
        print(description(names[0]))
    else:
        raise command.UsageError(f"Say `list` or `show NAME`. Received: {' '.join(arguments)!r}")


def listing() -> str:
    """A line for each model of each preset: its name, size and figures."""
    rows = [("--model_dir", "--model", "MB", "figures", "licence")]
    for name in sorted(packaged_files("preset")):
        preset = load_preset(name)
        for model in preset.models():
            default = " (default)" if model == preset.model else ""
            figures = _figures(preset.results.get(model, {}))
            rows.append((name, model + default, f"{preset.size() / 1e6:.1f}", figures, preset.licence))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", "What the figures are: python -m devise_tf.models show NAME"])


def description(name: str) -> str:
    """The facts about a preset or a model directory and, of a preset, the card."""
    directory = os.path.abspath(os.path.expanduser(name))
    if os.path.isdir(directory):
        from devise_tf.model_dir import ModelDir  # brings NumPy, which presets need not

        run = ModelDir(directory)
        if run.is_run:
            return _of_run(run)
    preset = load_preset(name)
    facts = {
        "summary": preset.summary,
        "models": ", ".join(m + (" (default)" if m == preset.model else "") for m in preset.models()),
        "images": f"shorter side to {preset.resize_size}, center crop of {preset.image_size} pixels",
        "labels": preset.labels,
        "vectors": preset.vectors,
        "licence": preset.licence,
        "provenance": preset.provenance,
        "weights": preset.path.removesuffix(os.path.basename(preset.path)),
    }
    for model, figures in preset.results.items():
        facts[model] = _figures(figures)
    lines = [f"{preset.name}", *_table(facts)]
    if preset.card:
        with open(preset.file(preset.card), encoding="utf-8") as file:
            lines += ["", file.read().rstrip()]
    return "\n".join(lines)


def _of_run(run: "ModelDir") -> str:
    from devise_tf.model_dir import Entry, ReportFile

    lines = [run.directory, "", *(f"--{name}={value}" for name, value in run.flags.items())]
    if run.has(Entry.REPORT, ReportFile.TABLES):
        with open(run.path(Entry.REPORT, ReportFile.TABLES), encoding="utf-8") as file:
            lines += ["", file.read().rstrip()]
    return "\n".join(lines)


def _figures(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in figures.items())


def _table(facts: dict[str, str]) -> list[str]:
    width = max(map(len, facts))
    return [f"  {name.ljust(width)}  {text}" for name, text in facts.items()]


def run(argv: list[str] | None = None) -> int:
    return command.run(main, lambda define: None, __doc__, argv, accepts="arguments")


if __name__ == "__main__":
    sys.exit(run())
