"""What is evaluated, and how."""

import dataclasses
from collections.abc import Sequence

from devise_tf.choices import EVALUATED_ANSWERS


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """What is evaluated, and how.

    Attributes:
        model_dirs: Sequence of str. Model directories: of one run, or of runs that differ in their seeds only; or the
            name of a preset.
        images: str. `"folder:DIR"`, `"tfds:NAME"` or `"builtin"`, whose `val` images are measured; empty for those of
            the run.
        data_dir: str. Where TensorFlow Datasets keeps files; empty for its default.
        val_share: float. Of `"folder:DIR"` without splits, the share that is measured; None for that of the run.
        labels: str. Files of labels with their terms, for those that the run does not know.
        unseen_labels: str. File of the ids of the labels that count as unseen; empty for those of the run.
        hierarchy: str. See `Hierarchy.open`; empty for that of the run.
        models: Sequence of str. Names of the models to measure; all by default.
        conse_tops: Sequence of int or None. ConSE's numbers of most probable labels, None for all.
        answers: str. `"labels"` or `"terms"`, see `run_scorers`.
        ks: Sequence of int. Of hit@k and hp@k; None for those of 1, 2, 5, 10 and 20 that fit the candidates.
        validation_share: float. Share of the images, drawn by `seed`, that penalties are chosen on; the others are
            measured.
        penalties_from: str. Model directory of a run with validation labels, evaluated before, whose penalties count.
            Chosen or taken, penalties are kept for the runs' predictions and exports if the report lies in their
            directory.
        report_dir: str. Where the report goes; empty for `report/` in the first model directory, of a preset for
            `NAME/report/` in the working directory.
        max_bad_images: float. Share of unreadable images above which the evaluation stops.
        batch_size: int. Images at once, over all devices.
        samples: int. Number of images that the report shows.
        seed: int. Of the split, the bootstrap and the choice of samples.
        verbose: int. 0 for no progress bars.

    Raises:
        ValueError: A setting is not as above, or two contradict each other.
    """

    model_dirs: Sequence[str]
    images: str = ""
    data_dir: str = ""
    val_share: float | None = None
    labels: str = ""
    unseen_labels: str = ""
    hierarchy: str = ""
    models: Sequence[str] | None = None
    conse_tops: Sequence[int | None] = (10, 1, None)
    answers: str = EVALUATED_ANSWERS[0]
    ks: Sequence[int] | None = None
    validation_share: float = 0.0
    penalties_from: str = ""
    report_dir: str = ""
    max_bad_images: float = 0.05
    batch_size: int = 64
    samples: int = 24
    seed: int = 0
    verbose: int = 1

    def __post_init__(self) -> None:
        if not self.model_dirs:
            raise ValueError("`model_dir` must name a model directory. Received: none")
        if not 0 <= self.validation_share < 1:
            raise ValueError(
                f"`validation_share` must be from 0 to below 1. Received: validation_share={self.validation_share}"
            )
        if self.validation_share and self.penalties_from:
            raise ValueError(
                "Choose penalties on a share of the images (`validation_share`) or take them from another run "
                f"(`penalties_from`), not both. Received: {self.validation_share}, {self.penalties_from!r}"
            )
        if self.ks is not None and (not self.ks or min(self.ks) < 1 or len(set(self.ks)) < len(self.ks)):
            raise ValueError(f"`ks` must hold different integers >= 1. Received: ks={list(self.ks)}")
        tops = [top for top in self.conse_tops if top is not None]
        if min(tops, default=1) < 1 or len(set(self.conse_tops)) < len(self.conse_tops):
            raise ValueError(
                "`conse_tops` must hold different integers >= 1, or None for all labels. "
                f"Received: conse_tops={list(self.conse_tops)}"
            )
        if self.models is not None and not self.models:
            raise ValueError("`models` must name models; leave it out for all. Received: models=[]")
