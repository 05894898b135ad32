from devise_tf.evaluation.report.html.page import html_report

__all__ = ["html_report"]
