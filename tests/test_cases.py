"""Inputs that people really have get the right answers; the command that tries them says so."""

import pytest

from tests.cases.__main__ import main
from tests.cases.collected import CASES
from tests.cases.registry import Case, Finding

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


def test_the_command_tries_the_cases_that_are_named(capsys):
    assert main(["V05", "L07"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["id", "V05", "L07"]
    assert all(line.endswith(" right") for line in lines[1:3]) and lines[3].startswith("2 cases, 0 wrong, ")
    with pytest.raises(SystemExit) as caught:
        main(["V05", "X99"])
    assert caught.value.code == 2 and "there are no cases X99; there are " in capsys.readouterr().err


def test_a_wrong_answer_is_shown_beside_the_right_one(capsys, monkeypatch):
    monkeypatch.setitem(CASES, "X01", Case("X01", "odd", "it is read", lambda folder: Finding("nothing", False)))
    assert main(["X01"]) == 1
    assert capsys.readouterr().out.splitlines()[1].split() == "X01 odd nothing WRONG; right is: it is read".split()
