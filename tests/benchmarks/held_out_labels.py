"""How well labels are found that a preset's projections have not seen, by what their vectors are made of.

  python -m tests.benchmarks.held_out_labels --photos=photos/val
  python -m tests.benchmarks.held_out_labels --photos=photos/val --half=0 --parts=1,1,1 --ridges=0.3,1,3

The projections of a preset are computed from the softmax's weights. Here they are computed from those of four fifths of
its labels, and photos of the fifth that is held out are told apart by these labels alone: five folds. `--photos` is a
folder with a folder of photos for each label, named by its id. Figures are hit@1 and hit@5 in per cent, with 95 %
intervals (bootstrap over photos).

`--half=0` counts the photos of one half of the labels, to choose settings by, and `--half=1` those of the other, to
report on. `--parts` are the weights of names, descriptions and kinds in described vectors, `--ridges` those of the
projections. Profiles are measured with the softmax's probabilities, as the preset has them.
"""

import glob
import os
import sys

import numpy as np
from absl import flags

from devise_tf import command
from devise_tf.packaged import packaged_path
from tests.benchmarks import harness

FOLDS = 5
_DRAWS = 1000


def define_flags(define: command.Definitions) -> None:
    define.string("photos", None, "Folder with a folder of photos for each label.", required=True)
    define.string("preset", "efficientnet_lite0", "The preset.")
    define.string("parts", "1,2,1", "Weights of names, descriptions and kinds in described vectors.")
    define.string("ridges", "1", "Ridges of the projections.")
    define.enum("half", "", ["", "0", "1"], "Which half of the labels' photos counts; all by default.")
    define.integer("seed", 0, "Seed of the folds and halves.")


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
    print(f"{len(owners)} photos; {len(folds[0])} candidates, of which no projection has seen any")
    rows = []
    for name, vectors in _label_vectors(
        predictor.run.preset, [float(part) for part in values.parts.split(",")]
    ).items():
        for kind in ("devise", "profiles"):
            for ridge in map(float, values.ridges.split(",")):
                ranks = held_out_ranks(predictor, vectors, features, owners, folds, kind, ridge)
                rows.append([name, kind, f"{ridge:g}", *(_figure(ranks < k) for k in (1, 5))])
    print(harness.markdown_table(["label vectors", "model", "ridge", "hit@1 %", "hit@5 %"], rows))


def held_out_ranks(predictor, vectors, features, owners, folds, kind: str, ridge: float) -> np.ndarray:
    """Of each photo how many other held-out labels are scored above its own."""
    from devise_tf.labels import SimilarityProfile
    from devise_tf.labels.described_vectors import unit_rows
    from devise_tf.models.devise.closed_form import closed_form_projection

    logits = predictor.run.network("softmax").get_layer("logits")
    kernel, bias = logits.kernel.numpy(), logits.bias.numpy()
    settings = predictor.run.preset.networks["profiles"]["settings"]
    ranks = np.zeros(len(owners), int)
    for fold in folds:
        trained = np.setdiff1d(np.arange(len(vectors)), fold)
        mine = np.flatnonzero(np.isin(owners, fold))
        made = vectors
        if kind == "profiles":
            made = SimilarityProfile(vectors[trained], settings["profile_temperature"])(vectors)
        projected = unit_rows(features[mine] @ closed_form_projection(kernel[:, trained], made[trained], ridge))
        if kind == "profiles":
            outputs = features[mine] @ kernel[:, trained] + bias[trained]
            probabilities = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            projected = unit_rows(projected + settings["softmax_weight"] * unit_rows(probabilities))
        scores = projected @ made[fold].T
        own = scores[np.arange(len(mine)), np.searchsorted(fold, owners[mine])]
        ranks[mine] = np.sum(scores > own[:, None], axis=1)
    return ranks


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
    return {"names": words.table(labels).values, "names, descriptions, kinds": made[rows]}


def _figure(hits: np.ndarray) -> str:
    rng = np.random.default_rng(0)
    means = 100 * rng.multinomial(len(hits), np.full(len(hits), 1 / len(hits)), _DRAWS) @ hits / len(hits)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{100 * hits.mean():.1f} [{low:.1f}, {high:.1f}]"


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv)


if __name__ == "__main__":
    sys.exit(run())
