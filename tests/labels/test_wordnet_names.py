from devise_tf.labels.wordnet_names import wordnet_names

LINES = """  1 This software and database is being provided to you
00001740 03 n 01 entity 0 001 ~ 00001930 n 0000 | that which is perceived
00001930 03 n 02 physical_entity 0 thing 0 001 @ 00001740 n 0000 | an entity
"""


def test_names(tmp_path):
    (tmp_path / "data.noun").write_text(LINES)
    assert wordnet_names(tmp_path) == {"n00001740": "entity", "n00001930": "physical entity"}
    assert wordnet_names(tmp_path / "none") == {}
