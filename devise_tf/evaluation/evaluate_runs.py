"""The evaluation of trained runs, from their model directories to the report."""

import dataclasses
import json
import os
from collections.abc import Sequence

import tensorflow as tf

from devise_tf.evaluation.figures.claims import check_claims
from devise_tf.evaluation.figures.label_list_sizes import about_label_list
from devise_tf.evaluation.figures.paper import paper_figures
from devise_tf.evaluation.figures.summary import choose_penalty, difference, generalized_difference, summarize
from devise_tf.evaluation.measure.evaluator import evaluate
from devise_tf.evaluation.measure.measurement import KS, Measurement, split, standard_settings
from devise_tf.evaluation.measure.run_scorers import run_scorers
from devise_tf.evaluation.report.details import report_details
from devise_tf.evaluation.report.write_report import write_report
from devise_tf.images import BadImages, Crop, ImageInput, open_images
from devise_tf.labels import Hierarchy, LabelSet, load_ids
from devise_tf.labels.coverage import label_coverage
from devise_tf.labels.open_labels import open_labels
from devise_tf.models.trained_run import PretrainedRun, open_run
from devise_tf.packaged import existing_file, packaged_path

# Flags of training in which the seeds of one run may differ: they shape nothing, or lead to labels that are compared.
_FREE = {"seed", "model_dir", "phase", "strategy", "data_dir", "log_every", "checkpoint_seconds", "verbose"} | {
    *("skip_gram_threads", "corpus", "vectors", "images"),
    *("labels_file", "unseen_labels", "validation_labels", "hierarchy"),
}


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """What is evaluated, and how.

    Attributes:
        model_dirs: Model directories: of one run, or of runs that differ in their seeds only; or a preset's name.
        images: `"folder:DIR"`, `"tfds:NAME"` or `"builtin"`, whose `val` images are measured; empty for the run's own.
        data_dir: Where TensorFlow Datasets keeps its files; empty for its own default.
        labels: File of labels with their terms, for those that the run's own file does not have.
        unseen_labels: File of the ids of the labels that count as unseen, in place of the run's own.
        hierarchy: See `Hierarchy.open`; empty for the run's own.
        models: Names of the models to measure; all by default.
        conse_tops: ConSE's numbers of most probable labels, None for all.
        answers: `"auto"`, `"terms"` or `"labels"`, see `run_scorers`.
        ks: Of hit@k and hp@k; None for 1, 2, 5, 10 and 20, as far as there are as many candidates.
        validation_share: Share of the images, drawn by `seed`, that penalties are chosen on; the others are measured.
        penalties_from: Model directory of a run with validation labels, evaluated before, whose penalties are taken.
        report_dir: Where the report goes; empty for `report/` in the first model directory, of a preset for
            `NAME/report/` in the working directory.
        max_bad_images: Share of unreadable images above which the evaluation stops.
        batch_size: Images at once, over all devices.
        samples: Number of images that the report shows.
        seed: Of the split, the bootstrap and the choice of samples.
        verbose: 0 for no progress bars.
    """

    model_dirs: Sequence[str]
    images: str = ""
    data_dir: str = ""
    labels: str = ""
    unseen_labels: str = ""
    hierarchy: str = ""
    models: Sequence[str] | None = None
    conse_tops: Sequence[int | None] = (10, 1, None)
    answers: str = "auto"
    ks: Sequence[int] | None = None
    validation_share: float = 0.0
    penalties_from: str = ""
    report_dir: str = ""
    max_bad_images: float = 0.05
    batch_size: int = 64
    samples: int = 24
    seed: int = 0
    verbose: int = 1

    def __post_init__(self):
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


def evaluate_runs(
    settings: EvaluationSettings,
    command: str,
    strategy: tf.distribute.Strategy | None = None,
) -> str:
    """Measures the models of runs as the paper did and writes the report.

    Args:
        settings: What is evaluated.
        command: The command line, for the report.
        strategy: The devices; one by default.

    Returns:
        The tables.

    Raises:
        ValueError: Something that is needed is missing, or contradicts something else. Nothing is written then.
    """
    strategy = strategy or tf.distribute.get_strategy()
    inputs = _Inputs(settings)
    penalties = _penalties(settings) if settings.penalties_from else {}
    run = inputs.runs[0]
    # A preset has no directory: what is written about its images lies with its report.
    log = os.path.join(inputs.report_dir if isinstance(run, PretrainedRun) else run.directory, "bad_images.log")
    counter = BadImages(inputs.source, log, settings.max_bad_images)
    scorers = []
    with strategy.scope():
        for one in inputs.runs:
            scorers += run_scorers(
                one, inputs.labels, settings.conse_tops, settings.answers, inputs.missing, settings.models
            )
    if not scorers:
        raise ValueError(
            "There are no trained models: finish the run first, by the command that it was started with. "
            f"Received: model_dir={run.directory!r}"
        )
    os.makedirs(os.path.dirname(log), exist_ok=True)
    try:
        measurement = evaluate(
            scorers,
            ImageInput(inputs.source, Crop(run.size("image_size"), run.size("resize_size")), counter),
            inputs.settings,
            None if inputs.hierarchy is None else inputs.hierarchy.neighbors,
            ks=settings.ks or KS,
            batch_size=settings.batch_size,
            strategy=strategy,
            verbose=settings.verbose,
        )
    except tf.errors.OpError:
        counter.check()  # what it raised within the input pipeline comes back as a TensorFlow error, between tracebacks
        raise
    notes = list(inputs.notes)
    chosen = {}
    if measurement.generalized and settings.validation_share:
        chosen_on, measurement = split(measurement, settings.validation_share, settings.seed)
        penalties = chosen = {m: choose_penalty(chosen_on, m) for m in measurement.generalized["seen"]}
        notes.append(
            f"Penalties on seen labels were chosen on {len(chosen_on.images['seen'])} images of seen and "
            f"{len(chosen_on.images['unseen'])} of unseen labels, which have no part in the figures."
        )
    elif measurement.generalized and run.flags.get("validation_labels") and not settings.unseen_labels:
        chosen = {m: choose_penalty(measurement, m) for m in measurement.generalized["seen"]}
        penalties = chosen
        notes.append(
            "The unseen labels here are validation labels. Penalties were chosen on these same images, whose penalized "
            "figures are therefore too good; they are for other runs (--penalties_from)."
        )
    elif penalties:
        notes.append(f"Penalties on seen labels were chosen by the run in {settings.penalties_from}.")
    summary = summarize(measurement, penalties, settings.seed)
    report = {
        **summary,
        "penalties": chosen,
        "differences": differences(measurement, penalties, settings.seed),
        "claims": check_claims(measurement, settings.seed),
        "paper": inputs.paper(),
        "coverage": inputs.coverage_report(),
        "images": {name: len(images) for name, images in measurement.images.items()},
        "labels": {
            name: {"labels": len(s.label_ids), "candidates": len(s.candidate_ids)}
            for name, s in measurement.settings.items()
        },
        "seeds": {"run": [int(run.flags.get("seed", 0)) for run in inputs.runs], **summary["seeds"]},
        "notes": notes,
        "bad_images": counter.count,
        "command": command,
    }
    details = report_details(run, inputs, measurement, scorers, settings.samples, settings.seed)
    tables = write_report(inputs.report_dir, report, details)
    print(tables, flush=True)
    print(f"Written to {inputs.report_dir}", flush=True)
    return tables


class _Inputs:
    """Runs, labels, images and the hierarchy, opened and held against each other."""

    def __init__(self, settings: EvaluationSettings):
        self.runs = [open_run(directory) for directory in settings.model_dirs]
        first = self.runs[0]
        for run in self.runs[1:]:
            if (run.labels, run.unseen) != (first.labels, first.unseen):
                raise ValueError(
                    "Model directories that are evaluated together must be of runs that differ in their seeds only; "
                    f"these have other labels. Received: {first.directory!r}, {run.directory!r}"
                )
            names = {*run.flags, *first.flags} - _FREE
            different = sorted(name for name in names if run.flags.get(name) != first.flags.get(name))
            if different:
                listed = ", ".join(f"--{n}={first.flags.get(n)} and --{n}={run.flags.get(n)}" for n in different)
                raise ValueError(
                    "Model directories that are evaluated together must be of runs that differ in their seeds only; "
                    f"these have {listed}. Received: {first.directory!r}, {run.directory!r}"
                )
        self.report_dir = os.path.expanduser(settings.report_dir) or first.path("report")
        if os.path.exists(self.report_dir) and not os.path.isdir(self.report_dir):
            raise ValueError(f"`report_dir` must be a folder, or be made. Received: report_dir={self.report_dir!r}")
        self.missing = "drop"
        self.seen, self.unseen = first.seen, first.unseen
        self.labels, self.notes = first.labels, []
        if settings.unseen_labels:
            self.unseen = load_ids(existing_file(settings.unseen_labels, "unseen_labels"))
            both = sorted(set(self.unseen) & set(self.seen))
            if both:
                raise ValueError(
                    f"{len(both)} of the {len(self.unseen)} `unseen_labels` were trained: remove them from the list. "
                    f"Received: {both[:10]}"
                )
            self.labels = self._with_terms(settings)
        images = settings.images or first.flags.get("images", "")
        try:
            self.source = open_images(images, "val", settings.data_dir or first.flags.get("data_dir") or None)
        except ValueError as error:
            if settings.images:
                raise
            raise ValueError(f"The run's images cannot be opened; name them by --images. {error}") from error
        self._check_images(settings)
        for ids in (self.seen, self.unseen):
            if about := about_label_list(len(ids), ids):
                self.notes.append(about)
        found = first.label_vectors("conse", None, self.labels, self.missing)
        self.known = set(found.ids)
        self.coverage = label_coverage(self.labels, first.term_vectors("conse", self.labels)[0])
        if found.missing:
            self.notes.append(f"{len(found.missing)} labels without a vector are left out of all that is measured.")
        self.settings = standard_settings(
            [label for label in self.seen if label in self.known],
            [label for label in self.unseen if label in self.known],
            measured=self.source.present(),
        )
        if not self.settings:
            raise ValueError(f"None of the images' labels has a vector. Received: {self.source.name}")
        for setting in self.settings:
            if settings.ks and max(settings.ks) > len(setting.candidate_ids):
                raise ValueError(
                    f"`ks` must not exceed the {len(setting.candidate_ids)} candidates of the setting "
                    f"{setting.name!r}. Received: ks={list(settings.ks)}"
                )
        measured = {label for setting in self.settings for label in setting.label_ids}
        self.source = self.source.select([label for label in self.source.present() if label in measured])
        self.hierarchy = self._hierarchy(settings)

    def _with_terms(self, settings) -> LabelSet:
        known = self.runs[0].labels
        new = [label for label in self.unseen if label not in known]
        if new and not settings.labels:
            raise ValueError(
                f"{len(new)} of the {len(self.unseen)} `unseen_labels` are not among the run's labels: name a file "
                f"with their terms by --labels_file, such as models/imagenet/labels_21k.txt. Received: {new[:10]}"
            )
        if settings.labels:
            listed = open_labels(settings.labels)
            if new:
                known = known.merged_with(listed.select(new, origin="`unseen_labels`"))
        return known.select([*self.seen, *self.unseen])

    def _check_images(self, settings):
        present = self.source.present()
        ours = set(self.seen) | set(self.unseen)
        strangers = [label for label in present if label not in ours]
        if len(strangers) == len(present):
            raise ValueError(
                f"None of the {len(present)} labels of the images is one of the run's, which are like "
                f"{', '.join(map(repr, self.seen[:3]))}: name other images, or their ids by --unseen_labels. "
                f"Received: {self.source.name} with {present[:10]}"
            )
        own = self.runs[0].flags.get("validation_labels")
        if strangers and not settings.unseen_labels and not own:
            raise ValueError(
                f"{len(strangers)} labels of the images are not the run's: remove their folders, or list those that "
                f"count as unseen in --unseen_labels. Received: {self.source.name} with {strangers[:10]}"
            )
        if strangers:
            self.notes.append(f"Images of {len(strangers)} other labels have no part: {', '.join(strangers[:5])}, …")
        dark = [label for label in [*self.seen, *self.unseen] if label not in set(present)]
        if dark:
            self.notes.append(f"No images of {len(dark)} labels, which stay candidates: {', '.join(dark[:5])}, …")

    def _hierarchy(self, settings) -> Hierarchy | None:
        run, ids = self.runs[0], [label for label in self.labels.ids if label in self.known]
        if settings.hierarchy:
            return Hierarchy.open(packaged_path(settings.hierarchy)).restricted_to(ids)
        own = run.hierarchy()
        if own is None:
            self.notes.append("No hierarchical precision: the run has no hierarchy, and none was named (--hierarchy).")
            return None
        lost = [label for label in ids if label not in own]
        if lost and settings.unseen_labels:
            raise ValueError(
                f"The run's hierarchy lacks {len(lost)} of the labels: name one that has them by --hierarchy, such as "
                f"wordnet or imagenet. Received: {lost[:10]}"
            )
        # An id without any link has no line in the file: it is a root of its own.
        whole = Hierarchy({**own.parents, **{label: [] for label in lost}})
        # A run's is that of its labels; a preset's may be of many more.
        return whole.restricted_to(ids) if isinstance(run, PretrainedRun) else whole

    def paper(self) -> dict:
        """The paper's figures, where the sets are the paper's."""
        ilsvrc = LabelSet.load(packaged_path("models/imagenet/labels_1k.txt")).ids
        return paper_figures(self.seen, self.unseen, ilsvrc)

    def coverage_report(self) -> dict:
        """How labels were found, in numbers of labels and of measured images."""
        counts = self.source.counts()
        cases = {field.name: getattr(self.coverage, field.name) for field in dataclasses.fields(self.coverage)}
        return {
            **{name: len(ids) for name, ids in cases.items()},
            "images": {name: sum(counts.get(label, 0) for label in ids) for name, ids in cases.items()},
            "listed": {name: cases[name][:200] for name in ("composed", "missing")},
        }


def _penalties(settings) -> dict[str, float]:
    path = os.path.join(os.path.expanduser(settings.penalties_from), "report", "metrics.json")
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file).get("penalties")
        penalties = {model: float(value) for model, value in found.items()} if found else {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            "`penalties_from` must be the model directory of a run with --validation_labels that has been evaluated. "
            f"Received: penalties_from={settings.penalties_from!r} ({path}: {error})"
        ) from error
    if not penalties:
        raise ValueError(
            f"{path} has no penalties: they are chosen by the evaluation of a run with --validation_labels, or with "
            f"--validation_share. Received: penalties_from={settings.penalties_from!r}"
        )
    return penalties


def differences(measurement: Measurement, penalties, seed) -> list[dict]:
    """What is asked first: every model against DeViSE, and DeViSE against the softmax."""
    found = []
    for setting, models in measurement.outcomes.items():
        if "devise" not in models:
            continue
        ks = measurement.ks[setting]
        metrics = [f"hit@{k}" for k in (1, 5, 20) if k in ks]
        metrics += [f"hp@{k}" for k in (5, 20) if k in ks and setting in measurement.correct_sizes]
        for model in models:
            if model != "devise":
                found += [difference(measurement, setting, m, model, "devise", seed=seed) for m in metrics]
    if measurement.generalized and "devise" in measurement.generalized["seen"] and penalties:
        for model in measurement.generalized["seen"]:
            if model != "devise":
                found.append(generalized_difference(measurement, model, "devise", penalties, seed))
    return found
