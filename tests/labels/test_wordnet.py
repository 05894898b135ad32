import pytest

from devise_tf.labels import LabelSet, OutputSpace
from devise_tf.labels.wordnet import wordnet_labels, wordnet_names

LINES = """  1 This software and database is being provided to you
00001740 03 n 01 entity 0 001 ~ 00001930 n 0000 | that which is perceived
00001930 03 n 02 physical_entity 0 thing 1 001 @ 00001740 n 0000 | an entity
02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 001 @ 00001930 n 0000 | a member of the genus Canis
"""


def test_all_terms_of_all_synsets(tmp_path):
    # 10 terms are 0a in the file's hexadecimal numbers.
    many = " ".join(f"w{number}_x {number:x}" for number in range(10))
    (tmp_path / "data.noun").write_text(f"{LINES}00000010 03 n 0a {many} 000 | many\n")
    labels = wordnet_labels(tmp_path)
    assert dict(zip(labels.ids, labels.terms, strict=True)) == {
        "n00001740": ["entity"],
        "n00001930": ["physical entity", "thing"],
        "n02084071": ["dog", "domestic dog", "Canis familiaris"],
        "n00000010": [f"w{number} x" for number in range(10)],
    }
    with pytest.raises(FileNotFoundError, match="data.noun"):
        wordnet_labels(tmp_path / "none")


def test_names_are_first_terms(tmp_path):
    (tmp_path / "data.noun").write_text(LINES)
    assert wordnet_names(tmp_path) == {"n00001740": "entity", "n00001930": "physical entity", "n02084071": "dog"}
    assert wordnet_names(tmp_path / "none") == {}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"entity",
        b"a b c d e f",
        b"00000010 03 n zz entity 0 000 | not hexadecimal",
        b"00000010 03 v 01 be 0 000 | no noun",
        b"00000010 03 n 00 000 | no terms",
        b"00000010 03 n 03 entity 0 thing 0",
        b"00000010 03 n 02 entity 0  0 000 | a term is empty",
        b"00000010 03 n 01 caf\xe9 0 000 | not UTF-8",
        b"\x80\x00\xff",
    ],
    ids=str,
)
def test_malformed_line_is_named(line, tmp_path):
    (tmp_path / "data.noun").write_bytes(LINES.encode() + line + b"\n")
    with pytest.raises(ValueError, match=r"data\.noun, line 5: expected a synset .* Received: '"):
        wordnet_labels(tmp_path)


def test_file_without_synsets_is_named(tmp_path):
    (tmp_path / "data.noun").write_text(LINES.splitlines()[0] + "\n")
    with pytest.raises(ValueError, match=r"data\.noun holds no synsets; expected .* Received: path="):
        wordnet_labels(tmp_path)


def test_ids_of_another_version_are_not_those_of_imagenet(tmp_path):
    """So a softmax finds such a label by its terms: n01440764 is another synset in WordNet 3.1."""
    line = "01440764 05 n 02 dog 0 domestic_dog 0 000 | a member of the genus Canis\n"
    (tmp_path / "data.noun").write_text(f"  3 WordNet 3.1 Copyright 2011 by Princeton University.\n{line}")
    labels = wordnet_labels(tmp_path)
    assert (labels.ids, labels.terms) == (["3.1:n01440764"], [["dog", "domestic dog"]])
    outputs = LabelSet(["n01440764", "n02084071"], [["tench"], ["dog"]])
    assert OutputSpace.of(outputs).table(labels).values.tolist() == [1]
