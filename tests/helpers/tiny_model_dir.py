"""A model directory as a finished run leaves it, of random weights: it takes seconds."""

import io

import keras
import numpy as np
from PIL import Image

import tests.helpers.tiny_architectures  # noqa: F401  registers them
from devise_tf.labels import LabelSet, WordSpace, load_ids
from devise_tf.models.devise import DeViSE, SpaceRecipe
from devise_tf.models.registry import build_visual_model, representation_model
from devise_tf.text import get_tokenizer, load_vectors, save_vectors
from devise_tf.text.vector_tokenizer import save_tokenizer

IMAGE_SIZE, RESIZE_SIZE, DIMENSION = 24, 28, 8
LABELS = {
    "n1": ["snow leopard", "ounce"],
    "n2": ["cat"],
    "n3": ["dog"],
    "n4": ["red panda"],
    "n5": ["zebra"],
}
UNSEEN = ["n5"]
TERMS = ["the", "red", "panda", "cat", "dog", "zebra", "snow_leopard", "leopard", "polar", "bear", "café", "ångström"]


def make_model_dir(directory, visual_model="resnet_tiny", tokenizer="words"):
    """Writes `flags.txt`, labels, vectors, `cnn.keras` and `devise.keras`; returns the directory as a string.

    With `tokenizer=None` there is none, as in directories that were made before there was a choice.
    """
    directory.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(1)
    (directory / "flags.txt").write_text(
        f"--image_size={IMAGE_SIZE}\n--missing_labels=compose\n--resize_size={RESIZE_SIZE}\n"
    )
    labels = LabelSet(list(LABELS), list(LABELS.values()))
    labels.save(directory / "labels.txt")
    (directory / "unseen_labels.txt").write_text("".join(f"{label}\n" for label in UNSEEN))
    vectors = np.random.default_rng(2).normal(size=(len(TERMS), DIMENSION)).astype(np.float32)
    save_vectors(directory / "vectors.bin", TERMS, vectors, "word2vec_binary")
    if tokenizer is not None:
        save_tokenizer(directory / "vectors.bin", get_tokenizer(tokenizer))
    seen = labels.select([label for label in labels.ids if label not in UNSEEN])
    size = 72 if visual_model.startswith("alexnet") else IMAGE_SIZE
    network = build_visual_model(visual_model, len(seen), size)
    for layer in network.layers:  # as after training: statistics and scales that are not 0 and 1
        if isinstance(layer, keras.layers.BatchNormalization):
            rng = np.random.default_rng(len(layer.name))
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    network.save(directory / "cnn.keras")
    add_devise(directory, "devise")
    if size != IMAGE_SIZE:
        (directory / "flags.txt").write_text(
            f"--image_size={size}\n--missing_labels=compose\n--resize_size={size + 4}\n"
        )
    return str(directory)


def add_devise(directory, name, label_terms="first", profile_temperature=None):
    """Writes `NAME.keras`, a DeViSE model of an untrained projection, into a model directory.

    With `profile_temperature` its label vectors are profiles of similarities to those of the seen labels.
    """
    labels = LabelSet.load(directory / "labels.txt")
    unseen = load_ids(directory / "unseen_labels.txt")
    seen = labels.select([label for label in labels.ids if label not in unseen])
    space = WordSpace(*load_vectors(directory / "vectors.bin"), label_terms)
    if profile_temperature is not None:
        space = space.with_profile(seen, profile_temperature)
    network = representation_model(keras.models.load_model(directory / "cnn.keras", compile=False))
    recipe = SpaceRecipe(label_terms, space.profile)
    DeViSE(network, space.table(seen).values, space_recipe=recipe).save(directory / f"{name}.keras")


def photo(seed=0, size=(48, 40), form="JPEG", mode="RGB"):
    """The bytes of a picture, width times height."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (4, 5, 3)).astype(np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()
