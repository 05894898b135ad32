"""The table of metrics: what an entry brings."""

import numpy as np
import pytest

from devise_tf.evaluation.figures import metrics
from devise_tf.evaluation.figures.metrics import Metric, at_k, columns, format_of
from devise_tf.evaluation.figures.summary import differences, summarize
from devise_tf.evaluation.report.details import ReportDetails
from devise_tf.evaluation.report.html.page import html_report
from devise_tf.evaluation.report.markdown import markdown_tables
from tests.helpers.made_up import measurement, outcomes


@pytest.fixture
def reciprocal_rank(monkeypatch):
    """A metric of its own: one over the rank of the true label among the first k answers."""
    metric = Metric(
        name="rank",
        title="reciprocal rank",
        hint="One over the rank.",
        format=metrics.SHARE,
        values=lambda outcomes, k, ks: np.where(outcomes.first_hit <= k, 1 / outcomes.first_hit, 0),
        chance=lambda measurement, setting, k: np.full(len(measurement.labels[setting]), 0.125),
        compared_at=(2,),
    )
    monkeypatch.setitem(metrics.METRICS, "rank", metric)


def test_a_new_metric_is_one_entry(reciprocal_rank):
    answered = {"seen": {"devise": [outcomes([1, 2, 5, 1])], "l2": [outcomes([2, 2, 1, 9])]}}
    measured = measurement({"seen": [0, 1, 2, 3]}, {"seen": 8}, answered)
    report = summarize(measured) | {"differences": differences(measured, {}), "command": "the command"}
    report |= {"images": {"seen": 4}, "labels": {"seen": {"labels": 8, "candidates": 8}}}
    assert report["seen"]["devise"]["rank@2"] == pytest.approx((1 + 1 / 2 + 0 + 1) / 4)
    assert report["seen"]["chance"]["rank@5"] == 0.125
    low, high = report["intervals"]["seen"]["l2"]["rank@5"]
    assert low <= (1 / 2 + 1 / 2 + 1 + 0) / 4 <= high
    assert [row["metric"] for row in report["differences"]] == ["hit@1", "hit@5", "rank@2"]
    head = [cell.strip() for cell in markdown_tables(report).splitlines()[2].strip("|").split("|")]
    assert head == ["model", "hit@1 %", "hit@2 %", "hit@5 %", "rank@1", "rank@2", "rank@5"]
    page = html_report(report, ReportDetails())
    assert "reciprocal rank" in page and "One over the rank." in page and "rank@2" in page


def test_columns_are_in_the_order_of_the_table():
    rows = [{"hp@5": 0.1, "hit@10": 0.2}, {"hp@1": 0.3, "hit@2": 0.4, "hp@2": 0.5}]
    assert [column.name for column in columns(rows)] == ["hit@2", "hit@10", "hp@2", "hp@5"]


def test_names_and_formats():
    assert at_k("hit@12").metric is metrics.HIT and at_k("hit@12").k == 12
    assert format_of("hit@1")(0.1234) == "12.3" and format_of("hp@5")(0.12345) == "0.123"
    assert format_of("penalized.harmonic") is metrics.PERCENT
