"""All cases, in the order of the files."""

from tests.cases import images, keras_layers, names, vectors  # noqa: F401  registers them
from tests.cases.registry import CASES

__all__ = ["CASES"]
