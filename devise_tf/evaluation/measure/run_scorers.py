"""The models of a run, as the evaluator takes them."""

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np

from devise_tf.choices import EVALUATED_ANSWERS
from devise_tf.evaluation.measure.candidates import Candidates
from devise_tf.evaluation.measure.measurement import Scorer
from devise_tf.labels import LabelSet
from devise_tf.models.devise import SoftmaxFusion
from devise_tf.models.trained_run import TrainedRun


def run_scorers(
    run: TrainedRun,
    labels: LabelSet,
    conse_tops: Sequence[int | None] = (10,),
    answers: str = "auto",
    missing: str = "drop",
    only: Sequence[str] | None = None,
) -> list[Scorer]:
    """The models that a model directory holds, and ConSE made of its softmax.

    Args:
        run: The model directory.
        labels: All labels that may be candidates.
        conse_tops: ConSE's numbers of most probable labels, None for all; each is a model. The first is `"conse"`, the
            others `"conse_1"`, `"conse_all"` and the like.
        answers: `"terms"` answers by the labels' terms (paper, appendix A.2), `"labels"` by the label vectors; `"auto"`
            by terms where a model's label vectors are those of single terms.
        missing: What to do about labels without a vector, see `make_label_vectors`.
        only: Names of the models to take; all by default.

    Returns:
        The scorers, those of random-embedding models under one name, their seeds. Embeddings have unit norm, so that
        scores are cosines. Models that share a network run it once.

    Raises:
        ValueError: A model was trained with other vectors than those that are there now, or `only` names none.
    """
    if answers not in EVALUATED_ANSWERS:
        raise ValueError(f"`answers` must be one of {EVALUATED_ANSWERS}. Received: answers={answers!r}")
    scorers, networks = [], {name: _LazyNetwork(run, name) for name in run.networks()}
    softmax = networks.pop("softmax", None)

    def wanted(name):
        return only is None or name in only

    if softmax is not None:
        # Its representation too: the projection that was trained with it frozen needs nothing else.
        shared = _Shared(softmax)
        if wanted("softmax"):
            scorers.append(
                Scorer(
                    "softmax", shared, lambda both: both[1], functools.partial(Candidates.of_outputs, outputs=run.seen)
                )
            )
        for number, top in enumerate(conse_tops):
            name = "conse" if number == 0 else f"conse_{'all' if top is None else top}"
            if wanted(name):
                found = run.label_vectors("conse", None, labels, missing)
                conse = run.conse(softmax(), top)
                head = functools.partial(_combined, conse)
                scorers.append(Scorer(name, shared, head, _candidates(found, "first", answers)))
    for name, load in networks.items():
        row = "random" if name.startswith("random_") else name
        # Of the projections before the CNN learned too, the paper's comparison needs that of DeViSE itself.
        if not wanted(row) or (name.endswith("_projection") and name not in (only or ["devise_projection"])):
            continue
        network = load()
        found = run.label_vectors(name, network, labels, missing)
        vectors = found.by_label()
        if row == "random":
            vectors = run.random_vectors(name, found.ids, found.vectors.shape[1])
            found = None
        _check_vectors(run, name, network, vectors)
        candidates = (
            functools.partial(Candidates.of_labels, vectors=vectors)
            if found is None
            else _candidates(found, network.space_recipe.label_terms, answers)
        )
        if softmax is not None and shared.has_weights_of(network):
            scorers.append(Scorer(row, shared, functools.partial(_embedded, network), candidates))
        else:
            scorers.append(Scorer(row, functools.partial(network, training=False), _unit, candidates))
    if only is not None and (lost := set(only) - {scorer.name for scorer in scorers}):
        known = sorted({"conse", *("random" if n.startswith("random_") else n for n in run.networks())})
        raise ValueError(
            f"{run.directory} has no model {sorted(lost)}. Received: models={list(only)}, there are {known}"
        )
    return scorers


class _LazyNetwork:
    def __init__(self, run: TrainedRun, name: str):
        self.run, self.name = run, name
        self._network: keras.Model | None = None

    def __call__(self) -> keras.Model:
        if self._network is None:
            self._network = self.run.network(self.name)
        return self._network


class _Shared:
    """The softmax network, to its representation and its logits."""

    def __init__(self, load: Callable[[], keras.Model]):
        cnn = load()
        self.representation = keras.Model(cnn.input, cnn.get_layer("representation").output)
        self.both = keras.Model(cnn.input, [cnn.get_layer("representation").output, cnn.output])

    def __call__(self, pixels):
        return self.both(pixels, training=False)

    def has_weights_of(self, network: keras.Model) -> bool:
        own = (self.both if isinstance(network, SoftmaxFusion) else self.representation).get_weights()
        other = network.visual_model.get_weights()
        return len(own) == len(other) and all(map(np.array_equal, own, other))


def _probabilities(both):
    return keras.ops.softmax(keras.ops.cast(both[1], "float32"), axis=-1)


def _combined(conse, both):
    return conse.combine(both[1])


def _embedded(network, both):
    return _unit(network.embed(*both))


def _unit(embeddings):
    return keras.ops.normalize(embeddings, axis=-1)


def _candidates(found, label_terms, answers):
    by_terms = answers == "terms" or (answers == "auto" and label_terms not in ("mean", "heads"))
    if by_terms:
        return functools.partial(Candidates.of_terms, vectors=found.term_vectors)
    return functools.partial(Candidates.of_labels, vectors=found.by_label())


def _check_vectors(run, name, network, vectors):
    """Holds the vectors of trained labels against those that the model was trained with."""
    trained = [label for label in run.seen if label in vectors]
    table = np.asarray(network.label_vectors)
    made = np.stack([vectors[label] for label in trained])
    if made.shape != table.shape or not np.allclose(made, table, atol=1e-4):
        raise ValueError(
            f"{run.path(name + '.keras')} was trained with other label vectors than those that the directory has "
            f"now: restore its vectors.bin and labels.txt. Received: model={name!r}"
        )
