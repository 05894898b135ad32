"""Entries of the preset file that the tests of presets change."""

import json

TEMPERATURE, WEIGHT = 0.3, 1.5


def networks(folder, **entries):
    """The preset's networks with changed entries; None removes one."""
    result = json.loads((folder / "tiny.json").read_text())["networks"]
    for name, changes in entries.items():
        changed = {**result.get(name, {}), **changes}
        result[name] = {key: value for key, value in changed.items() if value is not None}
    return result
