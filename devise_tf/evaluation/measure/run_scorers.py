"""The models of a run, as the evaluator takes them."""

from collections.abc import Sequence

import numpy as np

from devise_tf.choices import MISSING_LABELS_OF_ANSWERS
from devise_tf.evaluation.measure.measurement import Scorer
from devise_tf.labels import LabelSet
from devise_tf.model_dir import Entry
from devise_tf.models.devise import DeViSE
from devise_tf.models.label_model import LabelModel, shared_parts
from devise_tf.models.model_source import ModelSource


def run_scorers(
    run: ModelSource,
    labels: LabelSet,
    conse_tops: Sequence[int | None] = (10,),
    answers: str = "auto",
    only: Sequence[str] | None = None,
) -> list[Scorer]:
    """The models of a run, or a preset, that evaluation compares.

    Args:
        run: ModelSource. Where they come from.
        labels: LabelSet. All labels that may be candidates.
        conse_tops: Sequence of ints or None. ConSE's numbers of most probable labels, None for all; each is a model.
            The first is `"conse"`, the others `"conse_1"`, `"conse_all"` and the like.
        answers: str. `"terms"` answers by the labels' terms (paper, appendix A.2), `"labels"` by the label vectors;
            `"auto"` by terms where a model's label vectors are those of single terms.
        only: Sequence of str or None. Names of the models to take; all by default.

    Returns:
        The scorers, those of random-embedding models under one name, their seeds. Embeddings have unit norm, so that
        scores are cosines. Models that share a network run it once.

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
    scorers = []
    for (row, _), model, (network, head) in zip(rows, models, shared_parts(models), strict=True):
        table = model.open_space(labels, MISSING_LABELS_OF_ANSWERS).by_id().table(labels, answers, some_known=False)
        _check_vectors(run, model, labels)
        scorers.append(Scorer(row, network, head, table.select))
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
