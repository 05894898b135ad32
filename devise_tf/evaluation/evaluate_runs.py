"""The evaluation of trained runs, from their model directories to the report: open, measure, make figures, write."""

import dataclasses
import os
from collections.abc import Mapping

import tensorflow as tf

from devise_tf.evaluation.figures.claims import check_claims
from devise_tf.evaluation.figures.generalized import choose_penalty
from devise_tf.evaluation.figures.paper import paper_figures
from devise_tf.evaluation.figures.summary import differences, summarize
from devise_tf.evaluation.inputs import EvaluationInputs
from devise_tf.evaluation.measure.answers import by_answers, with_other_answers
from devise_tf.evaluation.measure.measure_models import measure_models
from devise_tf.evaluation.measure.measurement import KS, Measurement, Scorer, split
from devise_tf.evaluation.measure.run_scorers import run_scorers
from devise_tf.evaluation.measure.samples import sample_answers
from devise_tf.evaluation.report.details import report_details
from devise_tf.evaluation.report.models import models_of_samples
from devise_tf.evaluation.report.write_report import write_report
from devise_tf.evaluation.settings import EvaluationSettings
from devise_tf.labels import LabelSet
from devise_tf.model_dir import Entry
from devise_tf.models.model_names import SOFTMAX
from devise_tf.models.sources import TrainedRun
from devise_tf.packaged import packaged_path


def evaluate_runs(settings: EvaluationSettings, command: str, strategy: tf.distribute.Strategy | None = None) -> str:
    """Measures the models of runs as the paper did and writes the report.

    Args:
        settings: EvaluationSettings. What is evaluated.
        command: str. The command line, for the report.
        strategy: `tf.distribute.Strategy`. The devices; one by default.

    Returns:
        The tables.

    Raises:
        ValueError: Something that is needed is missing, or contradicts something else. Nothing is written then.
    """
    inputs = EvaluationInputs(settings)
    scorers, chosen_on, measured = _measure(inputs, settings, strategy or tf.distribute.get_strategy())
    measurement = measured[settings.answers]
    frozen = {scorer.name for scorer in scorers} - {scorer.name for scorer in scorers if not scorer.is_frozen}
    report = {
        **_figures(inputs, chosen_on, measurement, settings.seed),
        "claims": check_claims(measured, frozen, settings.seed),
        "answers": settings.answers,
        "bad_images": inputs.images.bad_images.count,
        "command": command,
    }
    report["notes"].append(f"Models made of words answer by {settings.answers} in all tables (--answers).")
    tables = _write(inputs, scorers, measurement, report, settings)
    _keep_penalties(inputs, report["penalties"] or inputs.penalties)
    return tables


def _measure(
    inputs: EvaluationInputs, settings: EvaluationSettings, strategy: tf.distribute.Strategy
) -> tuple[list[Scorer], Measurement | None, dict[str, Measurement]]:
    """The models, what was measured on the images that penalties are chosen on, and on the images of the figures.

    The last is there for each way of answering, see `by_answers`.
    """
    scorers: list[Scorer] = []
    with strategy.scope():
        for run in inputs.runs:
            arguments = (settings.conse_tops, settings.answers, settings.models)
            scorers += run_scorers(run, inputs.labels, *arguments)
    if not scorers:
        raise ValueError(
            "There are no trained models: finish the run first, by the command that it was started with. "
            f"Received: model_dir={inputs.run.directory!r}"
        )
    os.makedirs(os.path.dirname(inputs.bad_images_log), exist_ok=True)
    try:
        measurement = measure_models(
            with_other_answers(scorers),
            inputs.images,
            inputs.settings,
            None if inputs.hierarchy is None else inputs.hierarchy.neighbors,
            ks=settings.ks or KS,
            batch_size=settings.batch_size,
            strategy=strategy,
            verbose=settings.verbose,
        )
    except tf.errors.OpError:
        # What it raised within the input pipeline comes back as a TensorFlow error, between tracebacks.
        inputs.images.bad_images.check()
        raise
    measured, answers = by_answers(measurement, settings.answers), settings.answers
    if measurement.generalized and settings.validation_share:
        parts = {way: split(one, settings.validation_share, settings.seed) for way, one in measured.items()}
        return scorers, parts[answers][0], {way: rest for way, (_, rest) in parts.items()}
    return scorers, measured[answers] if inputs.chooses_penalties else None, measured


def _figures(inputs: EvaluationInputs, chosen_on: Measurement | None, measurement: Measurement, seed: int) -> dict:
    """What `metrics.json` holds of figures and of what they are about."""
    chosen: Mapping[str, float] = {}
    if chosen_on is not None and chosen_on.generalized:
        chosen = {model: choose_penalty(chosen_on, model) for model in chosen_on.generalized["seen"]}
    penalties = chosen or inputs.penalties
    summary = summarize(measurement, penalties, seed)
    ilsvrc = LabelSet.load(packaged_path("models/imagenet/labels_1k.txt")).ids
    return {
        **summary,
        "penalties": chosen,
        "differences": differences(measurement, penalties, seed),
        "paper": paper_figures(inputs.seen, inputs.unseen, ilsvrc, inputs.counts),
        "coverage": _coverage(inputs),
        "images": {name: len(images) for name, images in measurement.images.items()},
        "labels": {
            name: {"labels": len(setting.label_ids), "candidates": len(setting.candidate_ids)}
            for name, setting in measurement.settings.items()
        },
        "seeds": {"run": [run.seed for run in inputs.runs], **summary["seeds"]},
        "notes": [*inputs.notes, *_notes_on_penalties(inputs, chosen_on, measurement)],
    }


def _notes_on_penalties(inputs: EvaluationInputs, chosen_on: Measurement | None, measurement: Measurement) -> list[str]:
    if chosen_on is not None and chosen_on.generalized:
        if chosen_on is measurement:
            return [
                "The unseen labels here are validation labels. Penalties were chosen on these same images, whose "
                "penalized figures are therefore too good; they are for other runs (--penalties_from)."
            ]
        return [
            f"Penalties on seen labels were chosen on {len(chosen_on.images['seen'])} images of seen and "
            f"{len(chosen_on.images['unseen'])} of unseen labels, which have no part in the figures."
        ]
    return [f"Penalties on seen labels were chosen by the run in {inputs.penalties_from}."] if inputs.penalties else []


def _coverage(inputs: EvaluationInputs) -> dict:
    """How the labels' vectors were found, in numbers of labels and of measured images."""
    counts = inputs.images.source.counts()
    cases = {field.name: getattr(inputs.coverage, field.name) for field in dataclasses.fields(inputs.coverage)}
    return {
        **{name: len(ids) for name, ids in cases.items()},
        "images": {name: sum(counts.get(label, 0) for label in ids) for name, ids in cases.items()},
        "listed": {name: cases[name][:200] for name in ("composed", "missing")},
    }


def _write(
    inputs: EvaluationInputs,
    scorers: list[Scorer],
    measurement: Measurement,
    report: Mapping,
    settings: EvaluationSettings,
) -> str:
    """Writes the report and prints its tables, which it returns."""
    first_of_name = {scorer.name: scorer for scorer in reversed(scorers)}
    shown = [first_of_name[name] for name in models_of_samples(scorer.name for scorer in scorers)]
    neighbors = None if inputs.hierarchy is None else inputs.hierarchy.neighbors
    samples = sample_answers(shown, inputs.images, measurement, neighbors, settings.samples, settings.seed)
    labels = (inputs.labels, inputs.vectors, inputs.coverage, inputs.seen, inputs.hierarchy)
    details = report_details(measurement, samples, *labels, settings.seed)
    tables = write_report(inputs.report_dir, report, details)
    print(tables, flush=True)
    print(f"Written to {inputs.report_dir}", flush=True)
    return tables


def _keep_penalties(inputs: EvaluationInputs, penalties: Mapping[str, float]) -> None:
    """Writes the penalties that the runs' models answer with from now on; those of a report elsewhere are not kept."""
    runs = [run for run in inputs.runs if isinstance(run, TrainedRun)]
    if not penalties or not runs:
        return
    if not inputs.report_is_the_runs:
        print("Penalties of predictions and exports stay as they are: the report lies outside of the model directory.")
        return
    for run in runs:
        # A negative one would favor trained labels even more.
        kept = {name: max(0.0, penalties[name]) for name in run.models() if name in penalties and name != SOFTMAX}
        if kept:
            run.files.write_penalties(kept)
            path = run.files.path(Entry.PENALTIES)
            print(f"Written to {path}: penalties on trained labels of predictions and exports", flush=True)
