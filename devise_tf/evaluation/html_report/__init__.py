from devise_tf.evaluation.html_report.page import html_report, write_html_report

__all__ = ["html_report", "write_html_report"]
