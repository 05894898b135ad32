"""Names of a run's models: the one place that knows what they mean. Loads no framework."""

import re
from collections.abc import Collection, Iterable, Sequence

DEVISE = "devise"  # a run's own model of phase 3
SOFTMAX = "softmax"  # the network of phase 2
CONSE = "conse"  # made of its probabilities, without training
RANDOM = "random"  # trained with random label vectors: one row for all seeds
OTHER_KINDS = (SOFTMAX, CONSE, RANDOM)  # than models whose label vectors are made of terms
PROFILES = "profiles"  # whose label vectors are profiles of similarities to the trained labels
CONSE_PROFILES = "conse_profiles"  # ConSE among these
PAPER, L2 = "paper", "l2"  # the paper's own recipe, and its loss of distances
CLAIMED = (DEVISE, PAPER, L2)  # recipes that the paper's claims are about, all of models made of words


def kind(name: str) -> str:
    """`"softmax"`, `"conse"`, `"random"`, or else the name of the recipe that a model was trained by."""
    return name.partition("_")[0]


def random_name(number: int) -> str:
    """The name of a model that is trained with random label vectors."""
    return f"{RANDOM}_{number}"


def random_seed(run_seed: int, number: int) -> int:
    """The seed of the label vectors of a run's random-embedding model."""
    return 1000 * (run_seed + 1) + number


def number_in(name: str) -> int | None:
    """The number in the name of a random-embedding model, or of a ConSE; None if there is none.

    It is which of the random models this is, or how many of the most probable labels ConSE averages.
    """
    match = re.search(r"_(\d+)", name)
    return int(match[1]) if match else None


def conse_name(top: int | None) -> str:
    """The name of ConSE of the `top` most probable labels; None for all."""
    return f"{CONSE}_{'all' if top is None else top}"


def nameable(names: Iterable[str]) -> list[str]:
    """The models that answer with any labels; those with random label vectors know no words."""
    return [name for name in names if kind(name) != RANDOM]


def compared(
    models: Iterable[str], conse_tops: Sequence[int | None], only: Collection[str] | None = None
) -> list[tuple[str, str]]:
    """The models that an evaluation compares.

    Args:
        models: Iterable of str. Names of the models.
        conse_tops: Sequence of ints or None. ConSE's numbers of most probable labels, None for all. The first is called
            `"conse"`. Beside a model of profiles stands ConSE among these.
        only: Collection of str. Names of rows to take; all by default. Of the models as they were before the CNN
            learned, too, the paper's comparison needs only DeViSE's and its own recipe's; others are taken by name.

    Returns:
        Pairs of the name of a row, which is one for all seeds of random label vectors, and the name of the model.
    """
    ordered = sorted(models, key=lambda name: (name != SOFTMAX, name != CONSE))
    conse = [conse_name(top) for top in conse_tops]
    rows = {CONSE: list(zip([CONSE, *conse[1:]], conse, strict=False))}
    if PROFILES in ordered:
        rows[CONSE].append((CONSE_PROFILES, CONSE_PROFILES))
    pairs = [pair for name in ordered for pair in rows.get(name, [(re.sub(r"^random_\d+", RANDOM, name), name)])]
    from devise_tf.model_dir import ModelDir  # brings NumPy, which presets need not

    projections = only or [ModelDir.projection_name(name) for name in (DEVISE, PAPER)]
    pairs = [pair for pair in pairs if not pair[0].endswith("_projection") or pair[0] in projections]
    return [pair for pair in pairs if only is None or pair[0] in only]
