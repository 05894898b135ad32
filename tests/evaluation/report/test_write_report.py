import json

import pytest

from devise_tf.evaluation.report.details import ReportDetails
from devise_tf.evaluation.report.markdown import markdown_tables
from devise_tf.evaluation.report.write_report import write_report

SEEN_TITLE = "Seen labels (120 images, 20 candidates)"
UNSEEN_TITLE = "Unseen labels among unseen candidates (40 images, 4 candidates)"
GENERALIZED_TITLE = "Generalized zero-shot: per-class accuracy over all candidates, and their harmonic mean"


def make_report():
    return {
        "seen": {
            "chance": {"hit@1": 0.05, "hit@20": 1.0, "hp@1": 0.05, "hp@2": 0.1234},
            "devise": {"hit@1": 0.4996, "hit@20": 0.95, "hp@1": 0.4996, "hp@2": 0.45678},
            "random": {"hit@1": 0.3, "hit@20": 0.8, "hp@1": 0.3, "hp@2": 0.3},
            "softmax": {"hit@1": 0.512, "hit@20": 0.9, "hp@1": 0.512, "hp@2": 0.4},
        },
        "unseen": {"chance": {"hit@1": 0.25}, "devise": {"hit@1": 0.5}, "random": {"hit@1": 0.25}},
        "intervals": {
            "seen": {"devise": {"hit@1": [0.4796, 0.5176], "hp@2": [0.45, 0.47]}},
            "unseen": {"devise": {"hit@1": [0.3, 0.6]}},
        },
        "seeds": {"run": [0], "seen": {"random": {"hit@1": [0.1, 0.3, 0.5], "hp@2": [0.2, 0.3, 0.4]}}, "unseen": {}},
        "images": {"seen": 120, "unseen": 40},
        "labels": {"seen": {"labels": 20, "candidates": 20}, "unseen": {"labels": 4, "candidates": 4}},
        "bad_images": 3,
        "notes": ["Something is to be known.", "And something else."],
        "command": "python -m devise_tf.evaluate --model_dir='my runs'",
    }


GENERALIZED = {
    "softmax": {"seen": 0.6, "unseen": 0.0, "harmonic": 0.0, "area": 0.0},
    "devise": {
        **{"seen": 0.5, "unseen": 0.1, "harmonic": 0.1667, "area": 0.2346},
        "penalized": {"penalty": 0.12345, "seen": 0.4, "unseen": 0.3, "harmonic": 0.3429},
    },
    "chance": {"seen": 0.125, "unseen": 0.125, "harmonic": 0.125},
}


def parse(text):
    """Tables by title: {title: (header, {first cell: the others})}."""
    tables, title = {}, None
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if title not in tables:
                tables[title] = (cells, {})
            elif set(line) - set("|-: "):
                tables[title][1][cells[0]] = cells[1:]
        elif line:
            title = line
    return tables


def test_tables_hold_what_the_report_holds():
    report = make_report()
    tables = parse(markdown_tables(report))
    assert list(tables) == [SEEN_TITLE, UNSEEN_TITLE]
    for title, setting in ((SEEN_TITLE, "seen"), (UNSEEN_TITLE, "unseen")):
        header, rows = tables[title]
        assert set(rows) == set(report[setting])
        for model, cells in rows.items():
            for name, cell in zip(header[1:], cells, strict=True):
                value = report[setting][model][name.removesuffix(" %")]
                assert cell.split(" ")[0] == (f"{100 * value:.1f}" if name.endswith("%") else f"{value:.3f}")
    header, rows = tables[SEEN_TITLE]
    # hp@1 is hit@1.
    assert header == ["model", "hit@1 %", "hit@20 %", "hp@2"]
    assert list(rows) == ["softmax", "devise", "random", "chance"]
    # Behind a figure half the width of its interval: (51.76 - 47.96) / 2 and (0.47 - 0.45) / 2.
    assert rows["devise"] == ["50.0 ±1.9", "95.0", "0.457 ±0.010"]
    assert tables[UNSEEN_TITLE][1]["devise"] == ["50.0 ±15.0"]


def test_notes_and_spread_of_seeds_stand_below():
    text = markdown_tables(make_report())
    assert text.count("seeds") == 1 and "hit@1 in per cent, and number: random 10.0 to 50.0 (3)." in text
    assert text.endswith("- Something is to be known.\n- And something else.\n")
    bare = make_report()
    for name in ("seeds", "notes", "intervals"):
        del bare[name]
    text = markdown_tables(bare)
    assert "seeds" not in text and "±" not in text and text.endswith("|\n")


def test_cells_may_be_empty_and_other_models_stand_before_chance():
    report = make_report()
    report["unseen"] = {"zebra": {"hit@1": 0.1}, "chance": {"hit@1": 0.2, "hp@2": 0.5}, "alpha": {"hit@1": 0.3}}
    report["unseen"] |= {"l2": {"hit@1": 0.4}, "conse_all": {"hit@1": 0.0}}
    header, rows = parse(markdown_tables(report))[UNSEEN_TITLE]
    assert header == ["model", "hit@1 %", "hp@2"]
    assert list(rows.items()) == [
        ("conse_all", ["0.0", ""]),
        ("l2", ["40.0", ""]),
        ("alpha", ["30.0", ""]),
        ("zebra", ["10.0", ""]),
        ("chance", ["20.0", "0.500"]),
    ]
    lines = [line for line in markdown_tables(report).splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines[-7:]}) == 1  # columns line up


def test_the_papers_rows_stand_below():
    report = make_report() | {"paper": {"seen": {"devise (500-D)": {"hit@1": 0.532, "hp@2": 0.447}}}}
    tables = parse(markdown_tables(report))
    assert list(tables[SEEN_TITLE][1])[-1] == "paper: devise (500-D)"
    assert tables[SEEN_TITLE][1]["paper: devise (500-D)"] == ["53.2", "", "0.447"]


def test_generalized_table_has_penalties_where_there_are_some():
    report = make_report() | {"generalized": GENERALIZED}
    report["intervals"]["generalized"] = {"devise": {"harmonic": [0.1, 0.2], "penalized.harmonic": [0.3, 0.38]}}
    header, rows = parse(markdown_tables(report))[GENERALIZED_TITLE]
    names = ["seen", "unseen", "harmonic"]
    assert header == [
        *["model", *(f"{n} %" for n in names), "area", "penalty"],
        *(f"{n} % with it" for n in names),
    ]
    assert list(rows.items()) == [
        ("softmax", ["60.0", "0.0", "0.0", "0.000", "", "", "", ""]),
        ("devise", ["50.0", "10.0", "16.7 ±5.0", "0.235", "0.123", "40.0", "30.0", "34.3 ±4.0"]),
        ("chance", ["12.5", "12.5", "12.5", "", "", "", "", ""]),
    ]
    del GENERALIZED["devise"]["penalized"]
    assert parse(markdown_tables(report))[GENERALIZED_TITLE][0] == header[:5]


def test_claims_are_listed_with_verdicts():
    answers = {
        "labels": {"verdict": "holds", "figures": "2.1 [1.5, 2.7] at k = 1"},
        "terms": {"verdict": "does not hold", "figures": "3.5 [3.1, 3.9] at k = 1"},
    }
    claim = {"claim": "1. Softmax leads.", "model": "paper", "test": "Above 0 and below 3 points.", "answers": answers}
    text = markdown_tables(make_report() | {"claims": [claim]})
    assert text.index("What the paper claims, here\n\nA claim holds where ") < text.index("\n\n- 1. Softmax leads.")
    assert (
        "- 1. Softmax leads. (paper)\n"
        "  - Test: Above 0 and below 3 points.\n"
        "  - By labels: **Holds**: 2.1 [1.5, 2.7] at k = 1.\n"
        "  - By terms: **Does not hold**: 3.5 [3.1, 3.9] at k = 1.\n"
    ) in text


@pytest.mark.parametrize("folder", ["report", "deeper/still"])
def test_report_is_written_as_three_files(tmp_path, folder):
    report, directory = make_report(), tmp_path / folder
    tables = write_report(str(directory), report, ReportDetails())
    assert sorted(path.name for path in directory.iterdir()) == ["index.html", "metrics.json", "tables.md"]
    assert json.loads((directory / "metrics.json").read_text()) == report
    text = (directory / "tables.md").read_text()
    assert tables == markdown_tables(report) and text.endswith(tables)
    assert f"`{report['command']}`" in text
    assert "Something is to be known." in (directory / "index.html").read_text()
