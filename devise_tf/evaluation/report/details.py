"""What the report shows of single labels and images."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from devise_tf.config import RECIPES
from devise_tf.evaluation.figures.summary import generalized_curve
from devise_tf.evaluation.measure.measurement import Measurement, Scorer
from devise_tf.evaluation.report.label_groups import group_names, label_groups
from devise_tf.evaluation.report.report_details import LabelRow, ReportDetails, Sample, label_map
from devise_tf.images import BadImages, Crop, ImageInput, image_dataset
from devise_tf.labels.wordnet_names import wordnet_names
from devise_tf.metrics import hierarchical_correct_sets
from devise_tf.models.trained_run import TrainedRun

_ANSWERS = 5
_PICTURE = 160
_CONFUSIONS = 20
_COMPARED = ("softmax", "devise", *(name for name in RECIPES if name != "l2"))


def report_details(
    run: TrainedRun, inputs, measurement: Measurement, scorers: Sequence[Scorer], samples: int, seed: int
) -> ReportDetails:
    """Gathers what the report's page shows beside the figures.

    Args:
        run: The first of the runs that were measured.
        inputs: The labels, images, hierarchy and coverage of the evaluation.
        measurement: What was measured.
        scorers: The models, for the samples' answers.
        samples: Number of images to show.
        seed: Of the choice of images and of the map.
    """
    labels, hierarchy = inputs.labels, inputs.hierarchy
    names = {label: terms[0] for label, terms in zip(labels.ids, labels.terms, strict=True)}
    found = run.label_vectors("conse", None, labels, inputs.missing)
    groups = {}
    if hierarchy is not None:
        groups = group_names(label_groups(found.ids, hierarchy), {**wordnet_names(), **names})
    seen = set(inputs.seen)
    return ReportDetails(
        names=names,
        curves=_curves(measurement),
        generalized_curve={
            model: generalized_curve(measurement, model) for model in measurement.generalized.get("seen", ())
        },
        samples=_samples(run, inputs, measurement, scorers, samples, seed) if samples else (),
        confusions=_confusions(measurement, found.by_label()),
        label_rows=_label_rows(inputs, measurement),
        map=label_map(
            found.vectors,
            found.ids,
            [label in seen for label in found.ids],
            [groups.get(label, "other") for label in found.ids],
            seed,
        ),
    )


def _curves(measurement: Measurement) -> dict[str, dict[str, list[float]]]:
    """hit@k for every k up to the largest, by setting and model."""
    curves: dict[str, dict[str, list[float]]] = {}
    for setting, models in measurement.outcomes.items():
        ks = range(1, max(measurement.ks[setting]) + 1)
        curves[setting] = {
            model: [float(np.mean([np.mean(o.first_hit <= k) for o in outcomes])) for k in ks]
            for model, outcomes in models.items()
        }
    return curves


def _confusions(measurement: Measurement, vectors: Mapping[str, np.ndarray]) -> dict[str, list]:
    """The most frequent wrong first answers of each model, over all settings with the most candidates."""
    confusions = {}
    for setting in ("seen", "unseen+seen"):
        for model, outcomes in measurement.outcomes.get(setting, {}).items():
            described = measurement.settings[setting]
            true = np.concatenate([measurement.labels[setting]] * len(outcomes)).astype(np.int64)
            answers = np.concatenate([one.first_answer for one in outcomes])
            place = {label: i for i, label in enumerate(described.candidate_ids)}
            wrong = (answers >= 0) & (answers != np.array([place[label] for label in described.label_ids])[true])
            pairs, counts = np.unique(true[wrong] * len(place) + answers[wrong], return_counts=True)
            for i in np.argsort(-counts, kind="stable")[:_CONFUSIONS]:
                row, answer = divmod(int(pairs[i]), len(place))
                ids = described.label_ids[row], described.candidate_ids[answer]
                cosine = float(vectors[ids[0]] @ vectors[ids[1]])
                confusions.setdefault(model, []).append((*ids, round(int(counts[i]) / len(outcomes)), cosine))
    return {model: sorted(rows, key=lambda row: (-row[2], row[:2]))[:_CONFUSIONS] for model, rows in confusions.items()}


def _label_rows(inputs, measurement: Measurement) -> list[LabelRow]:
    rows, cases = [], inputs.coverage.cases()
    for setting, seen in (("seen", True), ("unseen", False)):
        if setting not in measurement.settings:
            continue
        ids, labels = measurement.settings[setting].label_ids, measurement.labels[setting]
        counts = np.bincount(labels, minlength=len(ids))
        ks = [k for k in (1, 5) if k in measurement.ks[setting]]
        shares = {
            model: {
                f"hit@{k}": np.mean([np.bincount(labels, o.first_hit <= k, len(ids)) for o in outcomes], axis=0)
                / np.maximum(counts, 1)
                for k in ks
            }
            for model, outcomes in measurement.outcomes[setting].items()
        }
        for i, label in enumerate(ids):
            hits = {model: {m: float(values[i]) for m, values in its.items()} for model, its in shares.items()}
            terms = inputs.labels.terms[inputs.labels.index[label]]
            if counts[i]:
                rows.append(LabelRow(label, terms, seen, int(counts[i]), cases[label], hits))
    return rows


def _samples(run, inputs, measurement, scorers, count, seed) -> list[Sample]:
    """Images of as many different labels as can be, half of them unseen, with the first answers of the models."""
    rng, chosen = np.random.default_rng(seed), []
    settings = [name for name in ("unseen+seen", "seen") if name in measurement.settings]
    for setting in settings:
        labels, images = measurement.labels[setting], measurement.images[setting]
        order = rng.permutation(len(images))
        first = order[np.sort(np.unique(labels[order], return_index=True)[1])][: count // len(settings)]
        chosen += [(setting, int(images[i]), int(labels[i])) for i in first]
    source = inputs.source
    indices = tf.data.Dataset.from_tensor_slices(np.array([image for _, image, _ in chosen], np.int64))
    crop = Crop(run.size("image_size"), run.size("resize_size"))
    dataset = image_dataset(ImageInput(source, crop, BadImages(source, None, 1.0)), indices, training=False)
    pixels = next(iter(dataset.batch(len(chosen))))["image"]
    # The first seed of each model, and not all of them: the paper's Figure 2 has two.
    models = list({scorer.name: scorer for scorer in reversed(scorers)}.values())[::-1]
    models = [scorer for scorer in models if scorer.name in _COMPARED] or models[:3]
    candidate_ids = measurement.settings[settings[0]].candidate_ids
    answers = {scorer.name: _answers(scorer, pixels, candidate_ids) for scorer in models}
    correct = {}
    if inputs.hierarchy is not None:
        shown = sorted({measurement.settings[setting].label_ids[label] for setting, _, label in chosen})
        k = min(5, len(candidate_ids))
        found = hierarchical_correct_sets(inputs.hierarchy.neighbors, shown, [k], candidate_ids)[k]
        correct = dict(zip(shown, found, strict=True))
    found = []
    for row, (setting, image, label) in enumerate(chosen):
        label_id = measurement.settings[setting].label_ids[label]
        picture = _picture(source.encoded(tf.constant(image, tf.int64)).numpy())
        its = {model: rows[row] for model, rows in answers.items() if rows}
        found.append(Sample(picture, label_id, setting == "seen", its, correct.get(label_id, frozenset())))
    return found


def _answers(scorer: Scorer, pixels, candidate_ids) -> list[list[tuple[str, float]]]:
    table = scorer.candidates(candidate_ids)
    if table is None:
        return []
    k = min(_ANSWERS, len(candidate_ids))
    best, entries = table.best_entries(table.scores(scorer.head(scorer.network(pixels))), k)
    answers, places = table.answers(entries.numpy(), k)
    scores = np.take_along_axis(best.numpy(), places, axis=1)
    return [
        [(candidate_ids[a], float(s)) for a, s in zip(row, its, strict=True) if a >= 0]
        for row, its in zip(answers, scores, strict=True)
    ]


def _picture(encoded: bytes) -> bytes:
    """A small JPEG of an image file."""
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as image:
        image = image.convert("RGB")
        image.thumbnail((_PICTURE, _PICTURE))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=85)
    return file.getvalue()
