"""Which of a softmax's outputs a list of labels means."""

from devise_tf.labels import LabelSet
from devise_tf.models.known_labels import term_columns, trained_columns

TRAINED = LabelSet(["n1", "n2", "n3"], [["cellular telephone", "cell"], ["crane"], ["Crane", "hoist"]])


def columns(labels):
    return trained_columns(labels, TRAINED.ids, term_columns(TRAINED))


def test_by_id_then_by_term():
    labels = LabelSet(["n3", "phone", "bird", "lamp"], [["lift"], ["mobile", "Cell"], ["crane"], ["lamp"]])
    assert columns(labels) == [2, 0, 1, None]


def test_a_term_is_not_taken_from_a_label_that_is_in_the_list():
    """The cell of a plant is no telephone where the list has the telephone."""
    labels = LabelSet(["n9", "n1", "n8"], [["cell"], ["cellular telephone"], ["hoist"]])
    assert columns(labels) == [None, 0, 2]


def test_the_first_label_has_a_term_of_two():
    assert term_columns(TRAINED) == {"cellular_telephone": 0, "cell": 0, "crane": 1, "hoist": 2}
