from devise_tf.evaluation.html_report.page import html_report

__all__ = ["html_report"]
