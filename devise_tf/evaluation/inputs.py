"""What an evaluation works on, opened and checked before anything is measured."""

import json
import os
from collections.abc import Collection, Sequence

from devise_tf.choices import MISSING_LABELS_OF_ANSWERS, VAL_SHARE
from devise_tf.config import FREE
from devise_tf.evaluation.label_list_sizes import about_label_list
from devise_tf.evaluation.measure.measurement import Setting, standard_settings
from devise_tf.evaluation.settings import EvaluationSettings
from devise_tf.images import BadImages, ImageInput, ImageSource, open_images
from devise_tf.labels import Hierarchy, LabelSet
from devise_tf.labels.coverage import label_coverage
from devise_tf.labels.open_labels import open_hierarchy, open_ids, open_labels
from devise_tf.model_dir import Entry, ReportFile
from devise_tf.models.model_source import ModelSource
from devise_tf.models.sources import PretrainedRun, open_run

# Flags of training in which the seeds of one run may differ: they shape nothing, or lead to labels that are compared.
_FREE = {
    *FREE,
    *("seed", "corpus", "vectors", "images", "labels_file", "unseen_labels", "validation_labels", "hierarchy"),
}


class EvaluationInputs:
    """Runs, labels, images and the hierarchy, opened and held against each other.

    Args:
        settings: EvaluationSettings. What is evaluated.

    Attributes:
        runs: List of `ModelSource`. One run, or several that differ in their seeds.
        labels: LabelSet. All labels that may be candidates.
        seen: List of str. Ids of the trained labels.
        unseen: List of str. Ids of the labels that count as unseen.
        vectors: LabelTable. The labels' vectors; labels without one are left out of all that is measured.
        coverage: LabelCoverage. How the vectors were found.
        settings: List of `Setting`. What is measured.
        images: ImageInput. The images of the measured labels.
        counts: Dict of int. The numbers of images that there are of labels, measured or not.
        bad_images_log: str. File that names the unreadable images.
        hierarchy: Hierarchy or None.
        penalties: Dict of float by model. What the run in `penalties_from` chose to take from seen labels' scores.
        penalties_from: str. A model directory, or empty.
        chooses_penalties: bool. Whether the unseen labels are validation labels, which penalties are chosen on.
        notes: List of str. What readers of the report must know.
        report_dir: str. Where the report goes.
        report_is_the_runs: bool. Whether that is in the directory of the first run.

    Raises:
        ValueError: Something is missing or contradicts the rest; it is named.
    """

    def __init__(self, settings: EvaluationSettings):
        self.runs = [open_run(directory) for directory in settings.model_dirs]
        for run in self.runs[1:]:
            _check_seeds(self.run, run)
        folder = os.path.join(self.run.directory, Entry.REPORT)
        self.report_dir = os.path.expanduser(settings.report_dir) or folder
        self.report_is_the_runs = os.path.abspath(self.report_dir) == folder
        if os.path.exists(self.report_dir) and not os.path.isdir(self.report_dir):
            raise ValueError(f"`report_dir` must be a folder, or be made. Received: report_dir={self.report_dir!r}")
        self.notes: list[str] = []
        self.seen, self.unseen, self.labels = self.run.seen, self.run.unseen, self.run.labels
        has_validation = bool(self.run.flags.get("validation_labels"))
        self.chooses_penalties = has_validation and not settings.unseen_labels
        if settings.unseen_labels:
            self.unseen = _unseen_labels(settings.unseen_labels, self.seen)
            self.labels = self._with_terms(settings.labels)
        source = _open_source(self.run, settings)
        self._check_images(source, may_have_others=bool(settings.unseen_labels) or has_validation)
        self.notes += [about for ids in (self.seen, self.unseen) if (about := about_label_list(len(ids), ids))]
        space = self.run.word_space(labels=self.labels, missing=MISSING_LABELS_OF_ANSWERS)
        self.vectors = space.table(self.labels)
        self.coverage = label_coverage(self.labels, space.index)
        if self.vectors.unknown:
            self.notes.append(
                f"{len(self.vectors.unknown)} labels without a vector are left out of all that is measured."
            )
        self.settings = self._settings(source, settings.ks)
        self.counts = source.counts()
        measured = {label for setting in self.settings for label in setting.label_ids}
        source = source.select([label for label in source.present() if label in measured])
        self.hierarchy = self._hierarchy(settings.hierarchy, required=bool(settings.unseen_labels))
        self.penalties_from = settings.penalties_from
        self.penalties = _penalties(self.penalties_from) if self.penalties_from else {}
        # A preset has no directory: what is written about its images lies with its report.
        folder = self.report_dir if isinstance(self.run, PretrainedRun) else self.run.directory
        self.bad_images_log = os.path.join(folder, Entry.BAD_IMAGES)
        bad_images = BadImages(source, self.bad_images_log, settings.max_bad_images)
        self.images = ImageInput(source, self.run.crop, bad_images)

    @property
    def run(self) -> ModelSource:
        """The first of the runs, which stands for all where they are equal."""
        return self.runs[0]

    def _with_terms(self, label_files: str) -> LabelSet:
        """The seen and unseen labels; those that the run does not know take their terms from label files."""
        known = self.run.labels
        new = [label for label in self.unseen if label not in known]
        if new and not label_files:
            raise ValueError(
                f"{len(new)} of the {len(self.unseen)} `unseen_labels` are not among the run's labels: name a file "
                f"with their terms by --labels_file, such as models/imagenet/labels_21k.txt. Received: {new[:10]}"
            )
        if label_files:
            listed = open_labels(label_files)
            if new:
                known = known.merged_with(listed.select(new, origin="`unseen_labels`"))
        return known.select([*self.seen, *self.unseen])

    def _check_images(self, source: ImageSource, may_have_others: bool) -> None:
        present = source.present()
        ours = set(self.seen) | set(self.unseen)
        others = [label for label in present if label not in ours]
        if len(others) == len(present):
            raise ValueError(
                f"None of the {len(present)} labels of the images is one of the run's, which are like "
                f"{', '.join(map(repr, self.seen[:3]))}: name other images, or their ids by --unseen_labels. "
                f"Received: {source.name} with {present[:10]}"
            )
        if others and not may_have_others:
            raise ValueError(
                f"{len(others)} labels of the images are not the run's: remove their folders, or list those that "
                f"count as unseen in --unseen_labels. Received: {source.name} with {others[:10]}"
            )
        if others:
            self.notes.append(f"Images of {len(others)} other labels have no part: {', '.join(others[:5])}, …")
        absent = [label for label in [*self.seen, *self.unseen] if label not in set(present)]
        if absent:
            self.notes.append(f"No images of {len(absent)} labels, which stay candidates: {', '.join(absent[:5])}, …")

    def _settings(self, source: ImageSource, ks: Sequence[int] | None) -> list[Setting]:
        known = set(self.vectors.ids)
        seen, unseen = ([label for label in ids if label in known] for ids in (self.seen, self.unseen))
        settings = standard_settings(seen, unseen, measured=source.present())
        if not settings:
            raise ValueError(f"None of the images' labels has a vector. Received: {source.name}")
        for setting in settings:
            if ks and max(ks) > len(setting.candidate_ids):
                raise ValueError(
                    f"`ks` must not exceed the {len(setting.candidate_ids)} candidates of the setting "
                    f"{setting.name!r}. Received: ks={list(ks)}"
                )
        return settings

    def _hierarchy(self, name: str, required: bool) -> Hierarchy | None:
        known = set(self.vectors.ids)
        ids = [label for label in self.labels.ids if label in known]
        if name:
            return open_hierarchy(name).restricted_to(ids)
        of_run = self.run.hierarchy()
        if of_run is None:
            self.notes.append("No hierarchical precision: the run has no hierarchy, and none was named (--hierarchy).")
            return None
        missing = [label for label in ids if label not in of_run]
        if missing and required:
            raise ValueError(
                f"The run's hierarchy lacks {len(missing)} of the labels: name one that has them by --hierarchy, such "
                f"as wordnet or imagenet. Received: {missing[:10]}"
            )
        # An id without any link has no line in the file: it is a root.
        whole = Hierarchy({**of_run.parents, **{label: [] for label in missing}})
        # That of a run is about its labels; that of a preset may be about many more.
        return whole.restricted_to(ids) if isinstance(self.run, PretrainedRun) else whole


def _check_seeds(first: ModelSource, run: ModelSource) -> None:
    """Raises a `ValueError` unless two runs differ in their seeds only."""
    names = {*run.flags, *first.flags} - _FREE
    different = sorted(name for name in names if run.flags.get(name) != first.flags.get(name))
    if (run.labels, run.unseen) != (first.labels, first.unseen):
        listed = "other labels"
    elif different:
        listed = ", ".join(f"--{n}={first.flags.get(n)} and --{n}={run.flags.get(n)}" for n in different)
    else:
        return
    raise ValueError(
        "Model directories that are evaluated together must be of runs that differ in their seeds only; "
        f"these have {listed}. Received: {first.directory!r}, {run.directory!r}"
    )


def _unseen_labels(path: str, seen: Collection[str]) -> list[str]:
    unseen = open_ids(path, "unseen_labels")
    trained = sorted(set(unseen) & set(seen))
    if trained:
        raise ValueError(
            f"{len(trained)} of the {len(unseen)} `unseen_labels` were trained: remove them from the list. "
            f"Received: {trained[:10]}"
        )
    return unseen


def _open_source(run: ModelSource, settings: EvaluationSettings) -> ImageSource:
    name = settings.images or run.flags.get("images", "")
    try:
        data_dir = settings.data_dir or run.flags.get("data_dir") or None
        share = settings.val_share
        if share is None:
            share = float(run.flags.get("val_share") or VAL_SHARE)
        return open_images(name, "val", data_dir, share)
    except ValueError as error:
        if settings.images:
            raise
        raise ValueError(f"The run's images cannot be opened; name them by --images. {error}") from error


def _penalties(model_dir: str) -> dict[str, float]:
    """The penalties on seen labels' scores that the evaluation of another run chose."""
    path = os.path.join(os.path.expanduser(model_dir), Entry.REPORT, ReportFile.METRICS)
    try:
        with open(path, encoding="utf-8") as file:
            written = json.load(file).get("penalties")
        penalties = {model: float(value) for model, value in written.items()} if written else {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            "`penalties_from` must be the model directory of a run with --validation_labels that has been evaluated. "
            f"Received: penalties_from={model_dir!r} ({path}: {error})"
        ) from error
    if not penalties:
        raise ValueError(
            f"{path} has no penalties: they are chosen by the evaluation of a run with --validation_labels, or with "
            f"--validation_share. Received: penalties_from={model_dir!r}"
        )
    return penalties
