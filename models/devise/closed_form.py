"""Projections in closed form: of a softmax's weights, and of least squares over images."""

import numpy as np


def closed_form_projection(kernel: np.ndarray, label_vectors: np.ndarray, ridge: float) -> np.ndarray:
    """The projection whose scores of the trained labels are nearest to the logits of a softmax.

    ```
    M = W T (T' T + ridge I)^-1, which minimizes |M T' - W|^2 + ridge |M|^2
    ```

    `T` are the label vectors, and `W` the softmax's kernel less its mean over the labels, which changes no probability.
    `M' v` is then the embedding of an image with representation `v`, and `T M' v` its logits, biases left out, as
    nearly as D dimensions can have them. All labels have their part, where images would favour those that they show.

    Args:
        kernel: float [F, N]. Weights of the softmax layer: F features, N labels.
        label_vectors: float [N, D], in the same order; of unit norm.
        ridge: float > 0. The larger, the more the embedding keeps to directions that many labels share.

    Returns:
        float32 [F, D], the kernel of a `DeViSE.projection`.

    Raises:
        ValueError: Shapes do not fit, or `ridge` is not positive and finite, or too small.
    """
    kernel, vectors = np.asarray(kernel, np.float64), np.asarray(label_vectors, np.float64)
    if kernel.ndim != 2 or vectors.ndim != 2 or kernel.shape[1] != len(vectors):
        raise ValueError(
            "`kernel` must be [F, N] and `label_vectors` [N, D]. "
            f"Received: kernel.shape={kernel.shape}, label_vectors.shape={vectors.shape}"
        )
    if not 0 < ridge < np.inf:
        raise ValueError(f"`ridge` must be positive and finite. Received: ridge={ridge}")
    centered = kernel - kernel.mean(axis=1, keepdims=True)
    gram = vectors.T @ vectors + ridge * np.eye(vectors.shape[1])
    try:
        return np.linalg.solve(gram, (centered @ vectors).T).T.astype(np.float32)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"`ridge` is too small for these label vectors. Received: ridge={ridge}") from error


def least_squares_projection(gram: np.ndarray, cross: np.ndarray, ridge: float) -> np.ndarray:
    """The projection whose embeddings are nearest to the images' label vectors, in the mean of the squared distance.

    ```
    M = (G + ridge g I)^-1 C, which minimizes mean(|M' v - t|^2) + ridge g |M|^2, g = trace(G) / F
    ```

    over images with representations `v` and label vectors `t`: what training with the loss `l2` tends to, and seldom
    reaches, since the directions of `v` differ in size by orders of magnitude.

    Args:
        gram: float64 [F, F]. `G`, the mean of `v v'` over the images.
        cross: float64 [F, D]. `C`, the mean of `v t'`.
        ridge: float >= 0, in mean squares of a feature. Keeps directions in which images hardly differ out.

    Returns:
        float32 [F, D], the kernel of a `DeViSE.projection`.

    Raises:
        ValueError: Shapes do not fit, or `ridge` is negative, not finite, or too small for a solution.
    """
    gram, cross = np.asarray(gram, np.float64), np.asarray(cross, np.float64)
    if gram.ndim != 2 or cross.ndim != 2 or gram.shape != (len(cross), len(cross)):
        raise ValueError(
            f"`gram` must be [F, F] and `cross` [F, D]. Received: gram.shape={gram.shape}, cross.shape={cross.shape}"
        )
    if not 0 <= ridge < np.inf:
        raise ValueError(f"`ridge` must be finite and not negative. Received: ridge={ridge}")
    penalty = ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    try:
        return np.linalg.solve(gram + penalty, cross).astype(np.float32)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"`ridge` is too small for these images. Received: ridge={ridge}") from error
