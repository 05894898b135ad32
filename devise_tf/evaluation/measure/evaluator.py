"""The paper's measurements, streamed over images: what each model answers, kept as a few bytes an image."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from devise_tf.evaluation.measure.correct_sets import CorrectSets
from devise_tf.evaluation.measure.measurement import (
    KS,
    NEVER,
    GeneralizedOutcomes,
    Measurement,
    Outcomes,
    Scorer,
    Setting,
)
from devise_tf.images import ImageInput, image_dataset


def evaluate(
    scorers: Sequence[Scorer],
    images: ImageInput,
    settings: Sequence[Setting],
    neighbors: Mapping[str, Sequence[str]] | None = None,
    ks: Sequence[int] = KS,
    batch_size: int = 64,
    strategy: tf.distribute.Strategy | None = None,
    verbose: int = 1,
) -> Measurement:
    """Measures models on the same images and candidates, in one pass over the images.

    No scores are kept: an image takes about a dozen bytes for each model and setting.

    Args:
        scorers: The models.
        images: The images of all settings' labels; unreadable ones have no part in the figures.
        settings: From `standard_settings`.
        neighbors: The hierarchy (`Hierarchy.neighbors`); without it there is no hierarchical precision.
        ks: Of hit@k and hierarchical precision@k; those above a setting's number of candidates are left out of it.
        batch_size: Images at once, over all devices.
        strategy: The devices, and that under whose scope the models were made; one device by default.
        verbose: 0 silences the progress bar.

    Returns:
        The measurement. A label that a model cannot answer is never hit.

    Raises:
        ValueError: A setting's labels have no images, `batch_size` does not divide among the devices, or all `ks` are
            above a setting's number of candidates.
    """
    strategy = strategy or tf.distribute.get_strategy()
    devices = strategy.num_replicas_in_sync
    if batch_size % devices:
        raise ValueError(f"`batch_size` must be divisible by the {devices} devices. Received: {batch_size=}")
    by_name = {setting.name: setting for setting in settings}
    counts = images.source.counts()
    for setting in settings:
        if not any(counts.get(label) for label in setting.label_ids):
            raise ValueError(
                f"No label of the setting {setting.name!r} has images in {images.source.name}. "
                f"Received: label_ids={list(setting.label_ids)[:10]}"
            )
    measurement = Measurement(by_name, {}, {}, {}, {}, {name: {} for name in by_name}, {})
    correct_sets = {}
    for name, setting in by_name.items():
        fitting = measurement.ks[name] = [k for k in ks if k <= len(setting.candidate_ids)]
        if not fitting:
            raise ValueError(
                f"One of `ks` must be at most the {len(setting.candidate_ids)} candidates of the setting {name!r}. "
                f"Received: ks={list(ks)}"
            )
        if neighbors:
            arguments = (setting.label_ids, setting.candidate_ids, setting.valid_ids, fitting)
            correct_sets[name] = CorrectSets(neighbors, *arguments)
            measurement.correct_sizes[name] = {k: correct_sets[name].sizes(k) for k in fitting}
    kinds = {"seen": [s for s in settings if s.name == "seen"], "unseen": [s for s in settings if s.name != "seen"]}
    groups = [
        _Group(kind, members, by_name, scorers, images, measurement.ks, correct_sets)
        for kind, members in kinds.items()
        if members
    ]
    progress = keras.utils.Progbar(sum(len(group.images) for group in groups), verbose=verbose)
    for group in groups:
        group.measure(measurement, batch_size, strategy, progress)
    return measurement


class _Group:
    """The images of seen or of unseen labels, and the settings that they are measured in."""

    def __init__(self, kind, settings, by_name, scorers, inputs, ks, correct_sets):
        self.kind, self.scorers, self.inputs, self.ks, self.correct_sets = kind, scorers, inputs, ks, correct_sets
        source = inputs.source
        self.settings = {setting.name: setting for setting in settings}
        # Accuracies over all candidates are of both kinds of images together, or of none.
        self.everything = by_name.get("unseen+seen") if "seen" in by_name else None
        label_ids = settings[0].label_ids
        row = {label: i for i, label in enumerate(label_ids)}
        self.labels = np.array([row.get(label, -1) for label in source.label_ids], np.int32)[source.labels]
        self.images = np.flatnonzero(self.labels >= 0)
        self.candidate_places = {}  # of the labels, in each setting
        for setting in {**self.settings, **({"all": self.everything} if self.everything else {})}.values():
            place = {label: i for i, label in enumerate(setting.candidate_ids)}
            self.candidate_places[setting.name] = np.array([place[label] for label in label_ids])
        self.tables = {
            (number, name): scorer.candidates(by_name[name].candidate_ids)
            for number, scorer in enumerate(scorers)
            for name in self.candidate_places
        }
        if self.everything:
            unseen = set(by_name["unseen"].candidate_ids)
            self.unseen = np.array([label in unseen for label in self.everything.candidate_ids])

    def scores(self, pixels):
        """In the graph: the best entries of each model in each setting, and the best of each kind over all."""
        outputs, found = {}, {}
        for number, scorer in enumerate(self.scorers):
            if id(scorer.network) not in outputs:
                outputs[id(scorer.network)] = scorer.network(pixels)
            queries = scorer.head(outputs[id(scorer.network)])
            for name in self.candidate_places:
                table = self.tables[number, name]
                if table is None:
                    continue
                scores = table.scores(queries)
                if name in self.settings:
                    found[f"{number}/{name}"] = table.best_entries(scores, max(self.ks[name]))
                if self.everything and name == self.everything.name:
                    found[f"{number}/kinds"] = self._best_of_kinds(table.owners, scores)
        return found

    def _best_of_kinds(self, owners, scores):
        best = []
        for kind in (~self.unseen, self.unseen):
            # Of an entry's labels the first of the kind is the one that it answers.
            own = (owners >= 0) & kind[owners]
            first = np.where(own.any(axis=1), owners[np.arange(len(owners)), own.argmax(axis=1)], -1)
            masked = tf.where(tf.constant(first >= 0), scores, tf.constant(-np.inf, scores.dtype))
            best += [tf.reduce_max(masked, axis=1), tf.gather(tf.constant(first), tf.argmax(masked, axis=1))]
        return best

    def measure(self, measurement, batch_size, strategy, progress):
        """Goes through the images and adds what it finds to the measurement."""
        devices = strategy.num_replicas_in_sync
        padded = np.resize(self.images, -(-len(self.images) // batch_size) * batch_size)  # one shape: one graph
        examples = tf.data.Dataset.from_tensor_slices(padded.astype(np.int64))
        dataset = image_dataset(self.inputs, examples, training=False)
        dataset = dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)

        @tf.function(autograph=False)
        def step(pixels):
            return strategy.run(self.scores, [pixels])

        kept, parts = [], {}
        for start, batch in zip(range(0, len(padded), batch_size), dataset, strict=True):
            pixels = batch["image"]
            if devices > 1:
                split = tf.split(pixels, devices)
                pixels = strategy.experimental_distribute_values_from_function(
                    lambda context, split=split: split[context.replica_id_in_sync_group]
                )
            found = step(pixels)
            size = min(batch_size, len(self.images) - start)
            good = np.flatnonzero(batch["weight"][:size].numpy() > 0)
            kept.append(start + good)
            labels = self.labels[self.images[kept[-1]]]
            for name, tensors in found.items():
                arrays = (
                    np.concatenate([part.numpy() for part in strategy.experimental_local_results(tensor)])[good]
                    for tensor in tensors
                )
                number, _, what = name.partition("/")
                outcomes = self._kinds if what == "kinds" else self._answers
                parts.setdefault(name, []).append(outcomes(int(number), what, labels, *arrays))
            progress.add(size)
        images = self.images[np.concatenate(kept)]
        if not len(images):
            raise ValueError(f"None of the images can be read. Received: {self.inputs.source.name}")
        for name in self.settings:
            measurement.images[name], measurement.labels[name] = images, self.labels[images]
        for name, part in parts.items():
            number, _, what = name.partition("/")
            model = self.scorers[int(number)].name
            if what == "kinds":
                measurement.generalized.setdefault(self.kind, {}).setdefault(model, []).append(
                    GeneralizedOutcomes(*map(np.concatenate, zip(*part, strict=True)))
                )
            else:
                measurement.outcomes[what].setdefault(model, []).append(
                    Outcomes(*map(np.concatenate, zip(*part, strict=True)))
                )

    def _kinds(self, number, what, labels, seen_score, seen, unseen_score, unseen):
        # A model that cannot answer labels of a kind has them at minus infinity; one that answers nothing, both.
        with np.errstate(invalid="ignore"):
            margin = np.nan_to_num(seen_score - unseen_score, nan=0.0, posinf=np.inf, neginf=-np.inf)
        best, score = (seen, seen_score) if self.kind == "seen" else (unseen, unseen_score)
        true = self.candidate_places[self.everything.name][labels]
        return margin.astype(np.float32), (best == true) & np.isfinite(score)

    def _answers(self, number, name, labels, _, entries):
        table, ks = self.tables[number, name], self.ks[name]
        answers, places = table.answers(entries, max(ks))
        # The first k answers are taken from the first `entries_per_answer * k` entries.
        needed = np.maximum(np.arange(1, max(ks) + 1), places // table.entries_per_answer + 1)
        is_true = answers == self.candidate_places[name][labels][:, None]
        first_hit = np.where(is_true.any(axis=1), needed[np.arange(len(needed)), is_true.argmax(axis=1)], NEVER)
        correct = np.zeros((len(labels), len(ks)), np.min_scalar_type(max(ks)))
        if sets := self.correct_sets.get(name):
            smallest = sets.smallest_k(labels, answers)
            for column, k in enumerate(ks):
                correct[:, column] = ((smallest <= k) & (needed <= k)).sum(axis=1)
        return first_hit.astype(np.uint16), correct, answers[:, 0]
