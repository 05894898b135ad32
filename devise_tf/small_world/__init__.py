"""The built-in set: a small world that draws its images and writes its corpus from one seeded description.

Importing this package does not import TFDS; `SmallWorld`, `SmallWorldConfig` and `prepare` do when they are first used.
"""

from typing import Any

from devise_tf.small_world.description import World, world

__all__ = ["SmallWorld", "SmallWorldConfig", "World", "prepare", "world"]


def __getattr__(name: str) -> Any:
    if name in ("SmallWorld", "SmallWorldConfig", "prepare"):
        from devise_tf.small_world import builder

        return getattr(builder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
