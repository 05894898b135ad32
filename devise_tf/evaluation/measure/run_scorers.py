"""The models of a run, as the evaluator takes them."""

from collections.abc import Sequence

import numpy as np

from devise_tf.choices import EVALUATED_ANSWERS, MISSING_LABELS_OF_ANSWERS
from devise_tf.evaluation.measure.answers import other_answers
from devise_tf.evaluation.measure.measurement import Scorer
from devise_tf.labels import LabelSet
from devise_tf.model_dir import Entry
from devise_tf.models.devise import DeViSE
from devise_tf.models.label_model import LabelModel, shared_parts
from devise_tf.models.model_names import CLAIMED, SOFTMAX, kind
from devise_tf.models.model_source import ModelSource


def run_scorers(
    run: ModelSource,
    labels: LabelSet,
    conse_tops: Sequence[int | None] = (10,),
    answers: str = EVALUATED_ANSWERS[0],
    only: Sequence[str] | None = None,
) -> list[Scorer]:
    """The models of a run, or a preset, that evaluation compares.

    Args:
        run: ModelSource. Where they come from.
        labels: LabelSet. All labels that may be candidates.
        conse_tops: Sequence of ints or None. ConSE's numbers of most probable labels, None for all; each is a model.
            The first is `"conse"`, the others `"conse_1"`, `"conse_all"` and the like.
        answers: str. How all models made of words answer: `"labels"` by the label vectors, `"terms"` by the terms of
            the candidates (paper, appendix A.2).
        only: Sequence of str or None. Names of the models to take; all by default.

    Returns:
        The scorers, those of random-embedding models under one name, their seeds. Embeddings have unit norm, so that
        scores are cosines. Models that share a network run it once. Those that the paper's claims are about can answer
        in the other way, too.

    Raises:
        ValueError: A model was trained with other vectors than those that are there now, or `only` names none.
    """
    rows = run.compared(conse_tops, only)
    if only is not None and (missing_models := set(only) - {row for row, _ in rows}):
        known = sorted({row for row, _ in run.compared()})
        raise ValueError(
            f"{run.directory} has no model {sorted(missing_models)}: choose among {known}. "
            f"Received: models={list(only)}"
        )
    models = [run.model(name, penalty=0) for _, name in rows]
    # The softmax's network is that of others, whether its own row is asked for or not.
    softmax = [run.model(SOFTMAX, penalty=0)] if SOFTMAX in run.networks() else []
    parts = shared_parts([*softmax, *models])
    frozen = [network for network, _ in parts[: len(softmax)]]
    scorers = []
    for (row, _), model, (network, head) in zip(rows, models, parts[len(softmax) :], strict=True):
        space = model.open_space(labels, MISSING_LABELS_OF_ANSWERS).by_id()
        candidates = space.table(labels, answers, some_known=False).select
        others = space.table(labels, other_answers(answers), some_known=False).select if kind(row) in CLAIMED else None
        _check_vectors(run, model, labels)
        scorers.append(Scorer(row, network, head, candidates, others, is_frozen=network in frozen))
    return scorers


def _check_vectors(run: ModelSource, model: LabelModel, labels: LabelSet) -> None:
    """Compares the vectors of trained labels with those that the model was trained with."""
    if not isinstance(model.network, DeViSE):
        return
    seen = labels.select([label for label in run.seen if label in labels])
    trained = model.open_space(labels, MISSING_LABELS_OF_ANSWERS).table(seen).values
    expected = np.asarray(model.network.label_vectors)
    if trained.shape != expected.shape or not np.allclose(trained, expected, atol=1e-4):
        raise ValueError(
            f"The model {model.name} in {run.directory} was trained with other label vectors than those that are "
            f"there now: restore its {Entry.VECTORS} and {Entry.LABELS}. Received: model={model.name!r}"
        )
