import importlib

# Imported when they are used: the engine's tests and benchmarks do without TensorFlow.
_LAZY = {
    "Phase": "phase",
    "Run": "run",
    "is_chief": "strategy",
    "make_strategy": "strategy",
    "run_phase": "loop",
    "train": "run",
}

__all__ = ["Phase", "Run", "is_chief", "make_strategy", "run_phase", "train"]


def __getattr__(name):
    if name in _LAZY:
        return getattr(importlib.import_module(f"devise_tf.training.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
