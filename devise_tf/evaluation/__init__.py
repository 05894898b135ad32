from devise_tf.evaluation.candidates import Candidates
from devise_tf.evaluation.evaluator import evaluate
from devise_tf.evaluation.measurement import Measurement, Scorer, Setting, standard_settings
from devise_tf.evaluation.report import markdown_tables, write_report
from devise_tf.evaluation.run_evaluation import EvaluationSettings, evaluate_runs
from devise_tf.evaluation.summary import summarize

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
