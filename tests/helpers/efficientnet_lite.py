"""EfficientNet-Lite networks, small or pretrained, and the logits of the original."""

from pathlib import Path

import numpy as np

from devise_tf.models.efficientnet_lite import EfficientNetLite
from devise_tf.models.weights_file import load_weights

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "models" / "efficientnet_lite"
WEIGHTS = FOLDER / "efficientnet_lite0.npz"
# The original's logits of `convert.drawn_images`, by image size: float32 [4, 1000].
REFERENCE = ROOT / "tests" / "models" / "efficientnet_lite0_logits.npz"


def build(name="efficientnet_lite0", num_labels=1000, image_size=224, **overrides):
    return EfficientNetLite.from_architecture(name, num_labels, image_size, **overrides)


def small(**arguments):
    return EfficientNetLite(**{"num_labels": 4, "image_size": 32, "width": 0.25, "depth": 0.25, **arguments})


def pretrained(image_size=224):
    model = build(image_size=image_size)
    load_weights(model, WEIGHTS)
    return model


def batch(size=8, image_size=32):
    x = np.random.default_rng(0).uniform(0, 255, (size, image_size, image_size, 3)).astype("float32")
    return x, np.arange(size) % 4
