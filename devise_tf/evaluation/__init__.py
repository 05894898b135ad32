from devise_tf.evaluation.evaluate_runs import EvaluationSettings, evaluate_runs
from devise_tf.evaluation.figures.summary import summarize
from devise_tf.evaluation.measure.candidates import Candidates
from devise_tf.evaluation.measure.evaluator import evaluate
from devise_tf.evaluation.measure.measurement import Measurement, Scorer, Setting, standard_settings
from devise_tf.evaluation.report.write_report import markdown_tables, write_report

__all__ = [
    "Candidates",
    "EvaluationSettings",
    "Measurement",
    "Scorer",
    "Setting",
    "evaluate",
    "evaluate_runs",
    "markdown_tables",
    "standard_settings",
    "summarize",
    "write_report",
]
