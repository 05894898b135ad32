"""Vectors for TensorBoard's projector."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from devise_tf.files import atomic_write


def export_projector(
    directory: str | os.PathLike, vectors: np.ndarray, columns: Mapping[str, Sequence[str]], name: str = "vectors"
) -> None:
    """Writes what TensorBoard's projector shows: `vectors.tsv`, `metadata.tsv` and `projector_config.pbtxt`.

    `tensorboard --logdir=DIRECTORY` then has them under "Projector".

    Args:
        directory: The folder; made if it is not there.
        vectors: float `[N, D]`.
        columns: Texts that belong to the vectors, N in each column, by the column's name. The first one is shown.
        name: The name that the projector shows: letters, digits and underscores.

    Raises:
        ValueError: the numbers of vectors and texts differ.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or not len(vectors) or any(len(column) != len(vectors) for column in columns.values()):
        lengths = {key: len(column) for key, column in columns.items()}
        raise ValueError(
            "There must be a text in each column for each vector. "
            f"Received: vectors of shape {vectors.shape}, {lengths}"
        )
    if not columns or not name.replace("_", "a").isalnum():
        raise ValueError(f"There must be a column, and a plain name. Received: columns={list(columns)}, {name=}")
    os.makedirs(directory, exist_ok=True)
    line = "\t".join(["%.6g"] * vectors.shape[1]) + "\n"
    with atomic_write(os.path.join(directory, "vectors.tsv")) as file:
        file.writelines((line % tuple(vector)).encode() for vector in vectors.tolist())
    # A single column goes without its name, for then the projector takes the first line for data.
    rows = [*([tuple(columns)] if len(columns) > 1 else []), *zip(*columns.values(), strict=True)]
    with atomic_write(os.path.join(directory, "metadata.tsv")) as file:
        file.writelines(("\t".join(" ".join(text.split()) for text in row) + "\n").encode() for row in rows)
    with atomic_write(os.path.join(directory, "projector_config.pbtxt")) as file:
        file.write(
            f'embeddings {{\n  tensor_name: "{name}"\n  tensor_path: "vectors.tsv"\n'
            '  metadata_path: "metadata.tsv"\n}\n'.encode()
        )
