"""Inputs that people really have get the right answers; the command that tries them says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases.collected import CASES
from tests.cases.registry import Case, Finding

ROOT = Path(__file__).resolve().parents[1]
SLOW = ("B23", "B26")  # an export and its server; a fresh process


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (name in SLOW), id=name) for name, case in CASES.items()]
)
def test_the_answer_is_right(case, tmp_path):
    finding = case.run(tmp_path)
    assert finding.right, f"{case.situation}: right is {case.answer!r}, but {finding.text}"


def test_an_error_in_a_case_is_a_wrong_answer(tmp_path):
    def function(folder):
        raise KeyError(f"{folder}/labels.txt")

    assert Case("X01", "", "", function).run(tmp_path) == Finding("KeyError: 'labels.txt'", False)


def start(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.cases", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_the_command_tries_the_cases_that_are_named():
    done = start("V05", "L07")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[:3]] == ["id", "V05", "L07"]
    assert done.stdout.splitlines()[-1].startswith("2 cases, 0 wrong, ")
    unknown = start("V05", "X99")
    assert unknown.returncode == 2 and unknown.stdout == ""
    assert "there are no cases X99; there are " in unknown.stderr
