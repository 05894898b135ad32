"""What pictures of label vectors share: points in the plane, and names beside them."""

from collections.abc import Callable, Sequence

import numpy as np


def t_sne(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Lays vectors out in the plane, so that those with a large cosine lie together. Needs scikit-learn.

    Args:
        vectors: float32 array, shape `[N, D]`, N at least 4. Of unit norm.
        seed: int. Of t-SNE.

    Returns:
        float32 array, shape `[N, 2]`.

    Reference:
        - [van der Maaten and Hinton, 2008](https://jmlr.org/papers/v9/vandermaaten08a.html)
    """
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    # For so few the exact gradients are faster than tree and threads of the approximate ones.
    method = "exact" if len(vectors) <= 500 else "barnes_hut"
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed, method=method).fit_transform(vectors)


def place_names(
    points: np.ndarray,
    boxes_of: Callable[[int], Sequence[Sequence[float]]],
    frame: Sequence[float],
    most: int,
) -> list[tuple[int, int]]:
    """Chooses names to print beside points far from each other, each where it hides no name and few points.

    Args:
        points: float array, shape `[N, 2]`.
        boxes_of: Function of a point's row to the boxes `(x0, y0, x1, y1)` that its name could fill, the best first.
        frame: Sequence of float. The box that names must not leave.
        most: int. Largest number of names.

    Returns:
        At most `most` pairs of a point's row and the index of the name's box among those of `boxes_of`.
    """
    chosen: list[tuple[int, int]] = []
    taken: list[Sequence[float]] = []
    # Each next point is the one farthest from all those before it: the names are spread over the picture.
    distances = np.linalg.norm(points - points.mean(axis=0), axis=1)
    most_hidden = len(points) // 500
    for _ in range(min(len(points), 4 * most)):
        if len(chosen) == most:
            break
        point = int(distances.argmax())
        distances = np.minimum(distances, np.linalg.norm(points - points[point], axis=1))
        best: tuple[int, int, Sequence[float]] | None = None
        for index, box in enumerate(boxes_of(point)):
            x0, y0, x1, y1 = box
            inside = frame[0] < x0 and frame[1] < y0 and x1 < frame[2] and y1 < frame[3]
            if inside and not any(x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1 for b in taken):
                hidden = int(np.all((points > (x0, y0)) & (points < (x1, y1)), axis=1).sum())
                if hidden <= most_hidden and (best is None or hidden < best[0]):
                    best = hidden, index, box
        if best:
            chosen.append((point, best[1]))
            taken.append(best[2])
    return chosen
