"""Tests of label sets and id lists."""

import os

import pytest

from devise_tf.data.label_set import LabelSet, load_ids


def write(folder, text, name="labels.txt"):
    path = folder / name
    path.write_bytes(text.encode())
    return path


def make():
    return LabelSet(["n1", "n2", "n3"], [["snow leopard", "ounce"], ["crane"], ["crane", "Crane"]])


def test_attributes():
    labels = make()
    assert len(labels) == 3 and list(labels) == ["n1", "n2", "n3"]
    assert labels.index == {"n1": 0, "n2": 1, "n3": 2}
    assert "n2" in labels and "n9" not in labels
    assert labels == make() and labels != labels.select(["n1"])
    assert "3: n1, n2, n3>" in repr(labels)


def test_normalized_terms_are_listed_once():
    labels = LabelSet(["a", "b"], [["Snow Leopard", "snow-leopard", "Ounce"], ["St. Bernard's dog"]])
    assert labels.normalized_terms() == [["snow_leopard", "ounce"], ["st_bernard_s_dog"]]


def test_keeps_its_own_copy():
    terms = [["cat"]]
    labels = LabelSet(["a"], terms)
    terms[0].append("dog")
    assert labels.terms == [["cat"]]


@pytest.mark.parametrize(
    ("ids", "terms", "message"),
    [
        ([], [], "at least one label.*Received: ids="),
        (["a", "b"], [["x"]], r"one list for each id.*Received: len\(ids\)=2, len\(terms\)=1"),
        (["a", "a"], [["x"], ["y"]], r"distinct; 'a' stands at 0 and 1.*Received: ids\[1\]='a'"),
        (["a", " "], [["x"], ["y"]], r"id must not be empty.*Received: ids\[1\]=' '"),
        (["a"], [[]], "at least one term.*Received"),
        (["a"], [["x", "?"]], "empty term.*Received"),
    ],
)
def test_bad_arguments(ids, terms, message):
    with pytest.raises(ValueError, match=message):
        LabelSet(ids, terms)


def test_load_terms_and_bare_ids(tmp_path):
    text = "\ufeff# labels\nn1\tsnow leopard, ounce\r\n\nmarsh_ringtail\nn3\t crane ,Crane"
    labels = LabelSet.load(write(tmp_path, text))
    assert labels.ids == ["n1", "marsh_ringtail", "n3"]
    assert labels.terms == [["snow leopard", "ounce"], ["marsh ringtail"], ["crane", "Crane"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no labels; expected.*Received: path="),
        ("# nothing\n\n", "holds no labels"),
        ("a\tx\n\nb\ty\na\tz\n", "line 4: label 'a' is a duplicate: it stands at line 1.*Received"),
        ("a\tx\nb\ty, , z\n", r"line 2: label 'b' has an empty term.*Received: 'b\\ty, , z'"),
        ("a\t\n", "line 1: label 'a' has an empty term"),
        ("\tx\n", "line 1: a label's id must not be empty"),
    ],
)
def test_bad_files(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        LabelSet.load(write(tmp_path, text))


def test_not_utf8_and_missing_files(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("n1\tcafé".encode("latin-1"))
    with pytest.raises(ValueError, match="latin.txt must be UTF-8"):
        LabelSet.load(path)
    with pytest.raises(FileNotFoundError, match="absent.txt"):
        LabelSet.load(tmp_path / "absent.txt")


def test_select():
    chosen = make().select(iter(["n3", "n1"]))
    assert chosen.ids == ["n3", "n1"] and chosen.index == {"n3": 0, "n1": 1}
    assert chosen.terms == [["crane", "Crane"], ["snow leopard", "ounce"]]


def test_select_names_the_first_ten_unknown_ids():
    with pytest.raises(ValueError, match="12 of the 13 ids of --unseen_labels") as error:
        make().select(["n1", *(f"x{i}" for i in range(12))], origin="--unseen_labels")
    message = str(error.value)
    assert "'x9', …" in message and "'x10'" not in message
    assert "Remove them" in message and "Received: ids=" in message


def test_save_and_load(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("old")
    make().save(path)
    assert LabelSet.load(path) == make()
    assert os.listdir(tmp_path) == ["labels.txt"]


@pytest.mark.parametrize("label, term", [("a\tb", "x"), ("a", "x, y"), ("a", "x\ny")])
def test_save_refuses_what_it_cannot_read_back(tmp_path, label, term):
    with pytest.raises(ValueError, match="cannot hold.*Received"):
        LabelSet([label], [[term]]).save(tmp_path / "labels.txt")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("label", ["#1", " a", "a "])
def test_save_and_load_agree_on_ids(tmp_path, label):
    labels = LabelSet([label, "b"], [["x"], ["y"]])
    path = tmp_path / "labels.txt"
    try:
        labels.save(path)
    except ValueError:
        return
    assert LabelSet.load(path) == labels


def test_load_ids(tmp_path):
    path = write(tmp_path, "# the unseen\nn1\n  n2  # an owl\n\nc#_id\r\n")
    assert load_ids(path) == ["n1", "n2", "c#_id"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# none\n", "holds no labels; expected one id a line.*Received: path="),
        ("a\nb\na # again\n", "line 3: id 'a' is a duplicate: it stands at line 1.*Received"),
        ("a\tcat\n", "line 1: expected one id a line.*Received"),
    ],
)
def test_load_ids_errors(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_ids(write(tmp_path, text))


def test_names_are_the_terms_and_their_words():
    labels = LabelSet(["n1", "n2"], [["Snow leopard", "ounce"], ["cat"]])
    assert labels.names() == {"snow_leopard", "snow", "leopard", "ounce", "cat"}
