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
        directory: str or path. The folder, made if it is missing.
        vectors: float array, shape `[N, D]`.
        columns: Mapping of sequences of str, length N. Texts of the vectors by the column's name; the first is shown.
        name: str. The name that the projector shows: letters, digits and underscores.

    Raises:
        ValueError: The numbers of vectors and texts differ, or a name is not as above.
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
