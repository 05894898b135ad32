"""A setting of a run, and what holds for all settings."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self


def setting(
    default: Any,
    help: str,
    choices: Sequence[str] | None = None,
    positive: bool = False,
    free: bool = False,
    later: bool = False,
    formerly: str = "",
    before: str = "",
) -> Any:
    """A field of a dataclass of settings, which is a flag of the same name.

    Args:
        default: String, integer, float or boolean. The default, whose type is the setting's.
        help: String. What the setting means, the flag's help.
        choices: Strings. The values that a string may have; any by default.
        positive: Boolean. Whether a number must not be zero.
        free: Boolean. Whether a run may be resumed with another value, because it does not shape what is trained.
        later: Boolean. Whether runs were made before the setting existed. `flags.txt` leaves it out at its default,
            so that those runs can be resumed.
        formerly: String. The setting's former name, which goes on being read; empty for none.
        before: String. What runs had that were made before the setting existed, where that is not its default.
    """
    metadata = {"help": help, "choices": choices, "positive": positive, "free": free, "later": later}
    metadata |= {"formerly": formerly, "before": before}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class SettingsGroup:
    """Settings that are checked when they are made; a group adds its own checks to `check`."""

    def __post_init__(self):
        self.check()

    def check(self) -> None:
        """Checks each value alone.

        Raises:
            ValueError: A value is out of its range.
        """
        for field in dataclasses.fields(self):
            _check_value(field, getattr(self, field.name))

    @classmethod
    def from_flags(cls, flags: Mapping[str, str]) -> Self:
        """Reads settings from flags as a flagfile has them.

        Args:
            flags: Values by name. Unknown names are ignored; what is missing or empty has its default.

        Raises:
            ValueError: A value is not of its setting's type, or out of its range.
        """
        fields = {field.name: field for field in dataclasses.fields(cls) if flags.get(field.name)}
        return cls(**{name: _parse(field, flags[name]) for name, field in fields.items()})


def _check_value(field: dataclasses.Field, value: Any) -> None:
    name, choices = field.name, field.metadata["choices"]
    if choices and value not in choices:
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`{name}` must be finite. Received: {name}={value}")
    if isinstance(value, (int, float)) and value < 0:
        raise ValueError(f"`{name}` must not be negative. Received: {name}={value}")
    if field.metadata["positive"] and not value:
        raise ValueError(f"`{name}` must be positive. Received: {name}={value}")


_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


def _parse(field: dataclasses.Field, text: str) -> Any:
    kind: Any = type(field.default)
    try:
        return _BOOLEANS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise ValueError(f"`{field.name}` must be of type {kind.__name__}. Received: --{field.name}={text}") from None
