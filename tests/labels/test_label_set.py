"""Tests of label sets and id lists."""

import os

import pytest

from devise_tf.labels.label_set import LabelSet, load_ids


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


def load_csv(folder, text, name="labels.csv"):
    labels = LabelSet.load(write(folder, text, name))
    return dict(zip(labels.ids, labels.terms, strict=True))


CSV = {"n1": ["snow leopard", "ounce"], "n2": ["crane"]}


@pytest.mark.parametrize(
    "text",
    [
        "id,term\nn1,snow leopard; ounce\nn2,crane\n",
        '\ufeffID,Terms\r\nn1,"snow leopard, ounce"\r\n\r\nn2,crane\r\n',
        "label,first,second\nn1,snow leopard,ounce\nn2,crane,\n,,\n",
        "label,id\nsnow  leopard;ounce,n1\ncrane,n2",
        "n1,snow leopard,ounce\nn2,crane\n",
        'n1,"snow\nleopard",ounce\nn2,crane\n',
    ],
)
def test_csv(tmp_path, text):
    assert load_csv(tmp_path, text) == CSV
    assert load_csv(tmp_path, text, "LABELS.CSV") == CSV


def test_csv_of_ids_alone(tmp_path):
    """One column, or rows that a spreadsheet has filled up with commas; in the first row `Label` is a heading."""
    assert load_csv(tmp_path, "Label\nSiamese_cat\ncrane\n") == {"Siamese_cat": ["Siamese cat"], "crane": ["crane"]}
    assert load_csv(tmp_path, "crane,,\nn1,owl,\n") == {"crane": ["crane"], "n1": ["owl"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,term\n", r"labels.csv holds no labels; expected.*Received: path="),
        (
            "n1,owl\n\nn1,crane\n",
            r"line 3: label 'n1' is a duplicate: it stands at line 1.*Received: \['n1', 'crane'\]",
        ),
        ("n1,owl;;crane\n", "line 1: label 'n1' has an empty term"),
        ("id,term\n,owl\n", "line 2: a label's id must not be empty"),
        ("term,id\nowl\n", "line 2: a label's id must not be empty"),
        ('n1,"owl\nn2,crane\n', r"line 2: not CSV \(.*double quotes.*Received: path="),
        ('n1,"owl" x\n', r"line 1: not CSV \("),
    ],
)
def test_bad_csv(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        LabelSet.load(write(tmp_path, text, "labels.csv"))


def test_a_comma_is_no_column_in_other_files(tmp_path):
    assert LabelSet.load(write(tmp_path, "n1\tsnow leopard, ounce\n")).terms == [["snow leopard", "ounce"]]


@pytest.mark.parametrize(
    ("label", "term"),
    [
        ("aquarium_fish", "aquarium fish"),
        ("Siamese_cat", "Siamese cat"),
        ("n02123394-Persian_cat", "Persian cat"),
        ("n02086240-Shih-Tzu", "Shih-Tzu"),
        ("n02123394_Persian_cat", "Persian cat"),
        ("001.Black_footed_Albatross", "Black footed Albatross"),
        ("n02123394", "n02123394"),
        ("n02123394-", "n02123394-"),
        ("3.5mm_jack", "3.5mm jack"),
        ("101", "101"),
        ("_x_", "x"),
    ],
)
def test_terms_of_ids(tmp_path, label, term):
    assert LabelSet.from_ids([label]).terms == [[term]]
    labels = LabelSet.load(write(tmp_path, f"{label}\n"))
    assert (labels.ids, labels.terms) == ([label], [[term]])


def test_from_ids_checks_as_the_rest():
    with pytest.raises(ValueError, match=r"distinct; 'a' stands at 0 and 1.*Received"):
        LabelSet.from_ids(["a", "a"])


def test_merged_with():
    other = LabelSet(["n3", "n4"], [["goose"], ["owl"]])
    both = make().merged_with(other)
    assert both.ids == ["n1", "n2", "n3", "n4"]
    assert both.terms == [*make().terms, ["owl"]]
    assert make().merged_with(make()) == make()


@pytest.mark.parametrize("name", ["latin.txt", "latin.csv"])
def test_not_utf8_and_missing_files(tmp_path, name):
    path = tmp_path / name
    path.write_bytes("n1\tcafé".encode("latin-1"))
    with pytest.raises(ValueError, match=f"{name} must be UTF-8"):
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


def test_filter_of_the_terms_that_vectors_are_made_of():
    wanted = LabelSet(["n1", "n2"], [["Snow leopard", "ounce"], ["cats"]]).term_filter()
    terms = ["snow_leopard", "Snow_leopard", "SNOW", "leopard", "ounce", "cat", "cats", "dog", "ow", "leopard_ounce"]
    assert [term for term in terms if term in wanted] == terms[:7]
