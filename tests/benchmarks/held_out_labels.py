"""How well labels are found that a preset's projections have not seen: alone, and beside trained labels.

  python -m tests.benchmarks.held_out_labels --photos=photos/val
  python -m tests.benchmarks.held_out_labels --photos=photos/val --half=0 --parts=1,1,1 --ridges=0.3,1,3
  python -m tests.benchmarks.held_out_labels --photos=photos/val --half=0 --penalties

The projections of a preset are computed from the softmax's weights. Here they are computed from those of four fifths of
its labels, and photos of the fifth that is held out are told apart by these labels alone: five folds. `--photos` is a
folder with a folder of photos for each label, named by its id. Figures are hit@1 and hit@5 in per cent, with 95 %
intervals (bootstrap over photos).

`--half=0` counts the photos of one half of the labels, to choose settings by, and `--half=1` those of the other, to
report on. `--parts` are the weights of names, descriptions and kinds in described vectors, `--ridges` those of the
projections. Profiles are measured with the softmax's probabilities, as the preset has them.

`--penalties` measures the preset's models, each as the preset has it, where trained and new labels meet: candidates are
all labels, four fifths of them trained, and photos those of both kinds. For each penalty on trained labels it prints
how many photos of new labels have a new label first and how many the right one; and how many photos of trained labels
have the right one first, and what the penalty costs of these. The penalty of a model is the largest that costs at most
`--most_lost` points; choose it by `--half=0`, put it into the preset's `penalties`, and report by `--half=1`, where
the preset's own penalties have rows.
"""

import glob
import os
import sys
from typing import NamedTuple

import numpy as np
from absl import flags

from devise_tf import command
from devise_tf.packaged import packaged_path
from tests.benchmarks import harness

FOLDS = 5
_DESCRIBED = "names, descriptions, kinds"
# Penalties that have a row, and those that are chosen from.
_SHOWN = (0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3)
_CHOICES = [number / 1000 for number in range(1000)]


def define_flags(define: command.Definitions) -> None:
    define.string("photos", None, "Folder with a folder of photos for each label.", required=True)
    define.string("preset", "efficientnet_lite0", "The preset.")
    define.string("parts", "1,2,1", "Weights of names, descriptions and kinds in described vectors.")
    define.string("ridges", "1", "Ridges of the projections.")
    define.enum("half", "", ["", "0", "1"], "Which half of the labels' photos counts; all by default.")
    define.integer("seed", 0, "Seed of the folds and halves.")
    define.boolean("penalties", False, "Measure penalties on trained labels.")
    define.float("most_lost", 3, "Most points of hit@1 of trained labels that a penalty may cost.")


def main(_: list[str], values: flags.FlagValues) -> None:
    import devise_tf.models

    predictor = devise_tf.models.load(values.preset)
    files, ids = _photos(values.photos, predictor.labels.ids)
    features = _features(predictor, files)
    owners = np.array([predictor.labels.index[label] for label in ids])
    order = np.random.default_rng(values.seed).permutation(len(predictor.labels))
    if values.half:
        counted = np.isin(owners, order[int(values.half) :: 2])
        features, owners = features[counted], owners[counted]
    folds = [np.sort(fold) for fold in np.array_split(order, FOLDS)]
    made = _label_vectors(predictor.run.preset, [float(part) for part in values.parts.split(",")])
    if values.penalties:
        _measure_penalties(predictor, made[_DESCRIBED], features, owners, folds, values.most_lost)
        return
    print(f"{len(owners)} photos; {len(folds[0])} candidates, of which no projection has seen any")
    rows = []
    for name, vectors in made.items():
        for kind in ("devise", "profiles"):
            for ridge in map(float, values.ridges.split(",")):
                ranks = held_out_ranks(predictor, vectors, features, owners, folds, kind, ridge)
                rows.append([name, kind, f"{ridge:g}", *(harness.share(ranks < k) for k in (1, 5))])
    print(harness.markdown_table(["label vectors", "model", "ridge", "hit@1 %", "hit@5 %"], rows))


def held_out_ranks(predictor, vectors, features, owners, folds, kind: str, ridge: float) -> np.ndarray:
    """Of each photo how many other held-out labels are scored above its own."""
    ranks = np.zeros(len(owners), int)
    for fold in folds:
        mine = np.flatnonzero(np.isin(owners, fold))
        scores = _scores(predictor, vectors, features[mine], fold, kind, ridge)[:, fold]
        own = scores[np.arange(len(mine)), np.searchsorted(fold, owners[mine])]
        ranks[mine] = np.sum(scores > own[:, None], axis=1)
    return ranks


def _scores(predictor, vectors, features, fold, kind: str, ridge: float) -> np.ndarray:
    """Cosines of photos and all labels [N, L], of a model that was made without the labels of a fold."""
    from devise_tf.labels import SimilarityProfile
    from devise_tf.labels.described_vectors import unit_rows
    from devise_tf.models.devise.closed_form import closed_form_projection
    from devise_tf.models.model_source import CONSE_TOP

    logits = predictor.run.network("softmax").get_layer("logits")
    trained = np.setdiff1d(np.arange(len(vectors)), fold)
    kernel = logits.kernel.numpy()[:, trained]
    outputs = features @ kernel + logits.bias.numpy()[trained]
    probabilities = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    if kind == "conse":
        least = np.sort(probabilities, axis=1)[:, -CONSE_TOP, None]
        return unit_rows(np.where(probabilities >= least, probabilities, 0) @ vectors[trained]) @ vectors.T
    settings = predictor.run.preset.networks["profiles"]["settings"]
    made = vectors
    if kind == "profiles":
        made = SimilarityProfile(vectors[trained], settings["profile_temperature"])(vectors)
    projected = unit_rows(features @ closed_form_projection(kernel, made[trained], ridge))
    if kind == "profiles":
        projected = unit_rows(projected + settings["softmax_weight"] * unit_rows(probabilities))
    return projected @ made.T


def _measure_penalties(predictor, vectors, features, owners, folds, most_lost: float) -> None:
    """Prints what penalties on trained labels do, and the largest that costs no more than it may, of each model."""
    preset = predictor.run.preset
    print(f"{len(owners)} photos; {len(vectors)} candidates, {len(folds[0])} of which no projection has seen")
    rows, largest = [], {}
    for model in (name for name in preset.models() if name != "softmax"):
        ridge = preset.networks.get(model, {}).get("ridge", 0)
        parts = [_Meeting.of(_scores(predictor, vectors, features, fold, model, ridge), owners, fold) for fold in folds]
        meeting = _Meeting(*map(np.concatenate, zip(*parts, strict=True)))
        largest[model] = max(penalty for penalty in _CHOICES if meeting.lost(penalty) <= most_lost)
        notes = {largest[model]: "largest", preset.penalties.get(model, 0): "the preset's"}
        for penalty in sorted({*_SHOWN, *notes}):
            right, new = meeting.right(penalty), meeting.is_new
            figures = (
                harness.share(meeting.new_first(penalty)[new]),
                harness.share(right[new]),
                f"{100 * right[~new].mean():.1f}",
            )
            rows.append([model, f"{penalty:g}", notes.get(penalty, ""), *figures, f"{meeting.lost(penalty):.1f}"])
    head = ["model", "penalty", "", "new label first %", "hit@1 new %", "hit@1 trained %", "points lost"]
    print(harness.markdown_table(head, rows))
    print(f"The largest that cost at most {most_lost:g} points: {largest}")


class _Meeting(NamedTuple):
    """Photos with all labels as candidates, each in each fold.

    Attributes:
        is_new: bool [P]. Whether the photo's label is new to the fold's model.
        lead: float [P]. By how much the best trained label leads the best new one.
        new_right, trained_right: bool [P]. Whether the best new label, or the best trained one, is the photo's.
    """

    is_new: np.ndarray
    lead: np.ndarray
    new_right: np.ndarray
    trained_right: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, owners: np.ndarray, fold: np.ndarray) -> "_Meeting":
        new = np.isin(np.arange(scores.shape[1]), fold)
        best_new, best_trained = (np.where(kind, scores, -np.inf) for kind in (new, ~new))
        lead = best_trained.max(axis=1) - best_new.max(axis=1)
        return cls(new[owners], lead, best_new.argmax(axis=1) == owners, best_trained.argmax(axis=1) == owners)

    def new_first(self, penalty: float) -> np.ndarray:
        """Whether a new label comes first, bool [P]."""
        return self.lead < penalty

    def right(self, penalty: float) -> np.ndarray:
        """Whether the photo's own label comes first, bool [P]."""
        return np.where(self.new_first(penalty), self.new_right, self.trained_right)

    def lost(self, penalty: float) -> float:
        """Points of hit@1 of trained labels' photos that a penalty costs."""
        before, after = (self.right(each)[~self.is_new].mean() for each in (0, penalty))
        return 100 * (before - after)


def _photos(folder: str, known: list[str]) -> tuple[list[str], list[str]]:
    files = sorted(glob.glob(os.path.join(os.path.expanduser(folder), "*", "*")))
    ids = [os.path.basename(os.path.dirname(file)) for file in files]
    if not files or set(ids) - set(known):
        raise ValueError(f"`photos` must hold folders named by ids of the preset's labels. Received: {folder!r}")
    return files, ids


def _features(predictor, files: list[str]) -> np.ndarray:
    """What the softmax sees of each photo [N, F]."""
    from devise_tf.models.registry import representation_model

    network = representation_model(predictor.run.network("softmax"))
    return np.concatenate([network(np.stack(batch), training=False).numpy() for batch in predictor.prepared(files, 50)])


def _label_vectors(preset, parts: list[float]) -> dict[str, np.ndarray]:
    """Vectors of the preset's labels by what they are made of, of unit norm."""
    from devise_tf.labels import Hierarchy, LabelSet, WordSpace
    from devise_tf.labels import described_vectors as described
    from devise_tf.labels.descriptions import Descriptions
    from devise_tf.text.joined_vectors import load_joined_vectors, term_shares

    labels = LabelSet.load(preset.file(preset.labels))
    paths = preset.vector_files()[1:]  # without those of described labels
    words = WordSpace(*load_joined_vectors(paths), "heads")
    descriptions = Descriptions.load([packaged_path("models/descriptions/imagenet_1k.tsv")])
    kinds = LabelSet.load(packaged_path("models/imagenet/labels_21k.txt"))
    weights = described.PartWeights(*parts)
    shares = term_shares(paths, words.terms)
    made = described.described_vectors(words, shares, descriptions, Hierarchy.open("imagenet"), kinds, weights)
    rows = [descriptions.labels.index[label] for label in labels.ids]
    return {"names": words.table(labels).values, _DESCRIBED: made[rows]}


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv)


if __name__ == "__main__":
    sys.exit(run())
