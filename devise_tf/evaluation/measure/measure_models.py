"""The paper's measurements, streamed over images: what each model answers, a few bytes an image."""

from collections.abc import Iterator, Mapping, Sequence

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
from devise_tf.labels import LabelTable
from devise_tf.layers.label_index import search_labels
from devise_tf.metrics.hierarchical_precision import correct_answers
from devise_tf.metrics.hit_at_k import label_rank


def measure_models(
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
        scorers: Sequence of `Scorer`. The models.
        images: ImageInput. The images of all settings' labels; unreadable ones have no part in the figures.
        settings: Sequence of `Setting`, see `standard_settings`.
        neighbors: Mapping. The hierarchy (`Hierarchy.neighbors`); without it there is no hierarchical precision.
        ks: Sequence of int. The `k` of hit@k and hierarchical precision@k; a setting leaves out those above its number
            of candidates.
        batch_size: int. Images at once, over all devices.
        strategy: `tf.distribute.Strategy`. The devices, and the strategy under whose scope the models were made; one
            device by default.
        verbose: int. 0 silences the progress bar.

    Returns:
        The `Measurement`. A label that a model cannot answer is never hit.

    Raises:
        ValueError: A setting's labels have no images, `batch_size` does not divide among the devices, or all `ks` are
            above a setting's number of candidates.
    """
    strategy = strategy or tf.distribute.get_strategy()
    devices = strategy.num_replicas_in_sync
    if batch_size % devices:
        raise ValueError(f"`batch_size` must be divisible by the {devices} devices. Received: {batch_size=}")
    by_name = {setting.name: setting for setting in settings}
    measurement = Measurement(by_name, {}, {}, {}, {}, {name: {} for name in by_name}, {})
    correct_sets = {}
    for name, setting in by_name.items():
        _check_images(setting, images)
        fitting = measurement.ks[name] = _fitting_ks(setting, ks)
        if neighbors:
            arguments = (setting.label_ids, setting.candidate_ids, setting.valid_ids, fitting)
            correct_sets[name] = CorrectSets(neighbors, *arguments)
            measurement.correct_sizes[name] = {k: correct_sets[name].sizes(k) for k in fitting}
    kinds = {"seen": [s for s in settings if s.name == "seen"], "unseen": [s for s in settings if s.name != "seen"]}
    groups = [
        _Group(kind, members, scorers, images, measurement, correct_sets) for kind, members in kinds.items() if members
    ]
    progress = keras.utils.Progbar(sum(len(group.rows) for group in groups), verbose=verbose)
    for group in groups:
        group.measure(batch_size, strategy, progress)
    return measurement


def _check_images(setting: Setting, images: ImageInput) -> None:
    counts = images.source.counts()
    if not any(counts.get(label) for label in setting.label_ids):
        raise ValueError(
            f"No label of the setting {setting.name!r} has images in {images.source.name}. "
            f"Received: label_ids={list(setting.label_ids)[:10]}"
        )


def _fitting_ks(setting: Setting, ks: Sequence[int]) -> list[int]:
    fitting = [k for k in ks if k <= len(setting.candidate_ids)]
    if not fitting:
        raise ValueError(
            f"One of `ks` must be at most the {len(setting.candidate_ids)} candidates of the setting {setting.name!r}. "
            f"Received: ks={list(ks)}"
        )
    return fitting


def _positions(setting: Setting, label_ids: Sequence[str]) -> np.ndarray:
    """The labels' positions among a setting's candidates."""
    position = {label: i for i, label in enumerate(setting.candidate_ids)}
    return np.array([position[label] for label in label_ids])


class _Group:
    """The images of seen or of unseen labels, and the settings that they are measured in."""

    def __init__(
        self,
        kind: str,
        settings: Sequence[Setting],
        scorers: Sequence[Scorer],
        images: ImageInput,
        measurement: Measurement,
        correct_sets: Mapping[str, CorrectSets],
    ):
        self.kind, self.scorers, self.images, self.measurement = kind, scorers, images, measurement
        self.correct_sets = correct_sets
        self.settings = {setting.name: setting for setting in settings}
        by_name = measurement.settings
        # Accuracies over all candidates are of both kinds of images together, or of none.
        self.everything = by_name.get("unseen+seen") if "seen" in by_name else None
        label_ids = settings[0].label_ids
        row = {label: i for i, label in enumerate(label_ids)}
        source = images.source
        self.labels = np.array([row.get(label, -1) for label in source.label_ids], np.int32)[source.labels]
        self.rows = np.flatnonzero(self.labels >= 0)  # of the images, in the source
        scored = [*settings, *([self.everything] if self.everything else [])]
        self.positions = {setting.name: _positions(setting, label_ids) for setting in scored}
        self.tables: dict[tuple[int, str], LabelTable] = {
            (number, name): scorer.candidates(by_name[name].candidate_ids)
            for number, scorer in enumerate(scorers)
            for name in self.positions
        }
        # Outside of the graph, which could not hold them all.
        self.values = {key: tf.constant(table.values) for key, table in self.tables.items()}
        if self.everything:
            unseen = set(by_name["unseen"].candidate_ids)
            self.unseen = np.array([label in unseen for label in self.everything.candidate_ids])

    def scores(self, pixels: tf.Tensor) -> dict[str, list[tf.Tensor]]:
        """In the graph: the best entries of each model in each setting, and the best of each kind over all."""
        outputs: dict[int, object] = {}
        best: dict[str, list[tf.Tensor]] = {}
        for number, scorer in enumerate(self.scorers):
            if id(scorer.network) not in outputs:
                outputs[id(scorer.network)] = scorer.network(pixels)
            queries = scorer.head(outputs[id(scorer.network)])
            for name in self.positions:
                table, values = self.tables[number, name], self.values[number, name]
                if not len(table):
                    continue
                if name in self.settings:
                    entries = table.entries_per_answer * max(self.measurement.ks[name])
                    best[f"{number}/{name}"] = list(search_labels(queries, values, entries))
                if self.everything and name == self.everything.name:
                    best[f"{number}/kinds"] = self._best_of_kinds(table.owners, queries, values)
        return best

    def _best_of_kinds(self, owners: np.ndarray, queries: tf.Tensor, values: tf.Tensor) -> list[tf.Tensor]:
        best = []
        for kind in (~self.unseen, self.unseen):
            # Of an entry's labels the first of the kind is the one that it answers.
            of_kind = (owners >= 0) & kind[owners]
            first = np.where(of_kind.any(axis=1), owners[np.arange(len(owners)), of_kind.argmax(axis=1)], -1)
            scores, entries = search_labels(queries, values, 1, tf.constant(first >= 0))
            best += [scores[:, 0], tf.gather(tf.constant(first), tf.maximum(entries[:, 0], 0))]
        return best

    def measure(self, batch_size: int, strategy: tf.distribute.Strategy, progress: keras.utils.Progbar) -> None:
        """Goes through the images and adds the outcomes to the measurement."""

        @tf.function(autograph=False)
        def step(pixels):
            return strategy.run(self.scores, [pixels])

        rows: list[np.ndarray] = []
        parts: dict[str, list[tuple[np.ndarray, ...]]] = {}
        for start, batch in zip(range(0, len(self.rows), batch_size), self._batches(batch_size), strict=True):
            best = step(_distributed(batch["image"], strategy))
            size = min(batch_size, len(self.rows) - start)
            good = np.flatnonzero(batch["weight"][:size].numpy() > 0)
            rows.append(self.rows[start + good])
            for name, tensors in best.items():
                arrays = [
                    np.concatenate([part.numpy() for part in strategy.experimental_local_results(tensor)])[good]
                    for tensor in tensors
                ]
                parts.setdefault(name, []).append(self._outcomes(name, self.labels[rows[-1]], arrays))
            progress.add(size)
        self._add(np.concatenate(rows), parts)

    def _batches(self, batch_size: int) -> Iterator[dict[str, tf.Tensor]]:
        """Batches of one size, so that one graph fits all: the last one is filled up with the first images."""
        padded = np.resize(self.rows, -(-len(self.rows) // batch_size) * batch_size)
        examples = tf.data.Dataset.from_tensor_slices(padded.astype(np.int64))
        dataset = image_dataset(self.images, examples, training=False)
        return iter(dataset.batch(batch_size).prefetch(2))

    def _outcomes(self, name: str, labels: np.ndarray, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        number, _, what = name.partition("/")
        return self._kinds(labels, *arrays) if what == "kinds" else self._answers(int(number), what, labels, *arrays)

    def _add(self, rows: np.ndarray, parts: Mapping[str, Sequence[tuple[np.ndarray, ...]]]) -> None:
        if not len(rows):
            raise ValueError(f"None of the images can be read. Received: {self.images.source.name}")
        measurement = self.measurement
        for name in self.settings:
            measurement.images[name], measurement.labels[name] = rows, self.labels[rows]
        for name, batches in parts.items():
            number, _, what = name.partition("/")
            model, columns = self.scorers[int(number)].name, list(map(np.concatenate, zip(*batches, strict=True)))
            if what == "kinds":
                models = measurement.generalized.setdefault(self.kind, {})
                models.setdefault(model, []).append(GeneralizedOutcomes(*columns))
            else:
                measurement.outcomes[what].setdefault(model, []).append(Outcomes(*columns))

    def _kinds(
        self,
        labels: np.ndarray,
        seen_score: np.ndarray,
        seen: np.ndarray,
        unseen_score: np.ndarray,
        unseen: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        # A model that cannot answer labels of a kind has them at minus infinity; one that answers nothing, both.
        with np.errstate(invalid="ignore"):
            lead = np.nan_to_num(seen_score - unseen_score, nan=0.0, posinf=np.inf, neginf=-np.inf)
        best, score = (seen, seen_score) if self.kind == "seen" else (unseen, unseen_score)
        true = self.positions["unseen+seen"][labels]
        return lead.astype(np.float32), (best == true) & np.isfinite(score)

    def _answers(
        self, number: int, name: str, labels: np.ndarray, _: np.ndarray, entries: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table, ks = self.tables[number, name], self.measurement.ks[name]
        answers, positions = table.answers(entries, max(ks))
        # The first k answers are taken from the first `entries_per_answer * k` entries.
        available_from = np.maximum(np.arange(1, max(ks) + 1), positions // table.entries_per_answer + 1)
        rank = np.asarray(label_rank(self.positions[name][labels], answers, from_sorted_ids=True))
        column = np.minimum(rank, max(ks)) - 1
        first_hit = np.where(rank <= max(ks), available_from[np.arange(len(rank)), column], NEVER)
        correct = np.zeros((len(labels), len(ks)), np.min_scalar_type(max(ks)))
        if sets := self.correct_sets.get(name):
            correct[:] = correct_answers(np.maximum(sets.smallest_k(labels, answers), available_from), ks)
        return first_hit.astype(np.uint16), correct, answers[:, 0]


def _distributed(pixels: tf.Tensor, strategy: tf.distribute.Strategy) -> object:
    """A batch, split among the devices where there are several."""
    devices = strategy.num_replicas_in_sync
    if devices == 1:
        return pixels
    parts = tf.split(pixels, devices)
    return strategy.experimental_distribute_values_from_function(
        lambda context: parts[context.replica_id_in_sync_group]
    )
