"""EfficientNet-Lite networks, small or pretrained, and the logits of the original."""

from pathlib import Path

import numpy as np

from devise_tf.models.efficientnet_lite import EfficientNetLite
from devise_tf.models.weights_file import load_weights

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "models" / "efficientnet_lite"
LITE0 = "efficientnet_lite0"
# Those with weights and their published image sizes.
PRETRAINED = {LITE0: 224, "efficientnet_lite2": 260}


def weights(name=LITE0):
    return FOLDER / f"{name}.npz"


def reference(name=LITE0):
    """The original's logits of `convert.drawn_images`, float32 [4, 1000], by image size; see `reference_logits`."""
    return dict(np.load(ROOT / "tests" / "models" / f"{name}_logits.npz"))


def build(name=LITE0, num_labels=1000, image_size=224, **overrides):
    return EfficientNetLite.from_architecture(name, num_labels, image_size, **overrides)


def small(**arguments):
    return EfficientNetLite(**{"num_labels": 4, "image_size": 32, "width": 0.25, "depth": 0.25, **arguments})


def pretrained(image_size, name=LITE0):
    model = build(name, image_size=image_size)
    load_weights(model, weights(name))
    return model


def batch(size=8, image_size=32):
    x = np.random.default_rng(0).uniform(0, 255, (size, image_size, image_size, 3)).astype("float32")
    return x, np.arange(size) % 4
