import pytest

from devise_tf.data.wordnet_labels import wordnet_labels

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
