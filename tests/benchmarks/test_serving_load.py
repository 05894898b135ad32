"""What the load benchmark takes for the same answer decides what it can find."""

import random

import numpy as np
import pytest

from tests.benchmarks.serving_requests import damaged, document, inputs_of_document, same


def answer(labels, scores, known=None):
    texts = np.array([[label.encode() for label in row] for row in labels], object)
    result = {"labels": texts, "scores": np.array(scores, np.float32)}
    return result | ({} if known is None else {"known": np.array(known)})


EXPECTED = answer([["cat", "dog", "?", "!"]], [[0.5, 0.2, -1, -1]], [[True, True, False, False]])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (EXPECTED, True),
        (answer([["cat", "dog", "!", "?"]], [[0.50001, 0.2, -1, -1]], [[True, True, False, False]]), True),
        (answer([["dog", "cat", "?", "!"]], [[0.5, 0.2, -1, -1]], [[True, True, False, False]]), False),
        (answer([["cat", "dog", "?", "?"]], [[0.5, 0.2, -1, -1]], [[True, True, False, False]]), False),
        (answer([["cat", "dog", "?", "!"]], [[0.5, 0.2, -1, -1]], [[True, True, True, False]]), False),
        (answer([["cat", "dog", "?", "!"]], [[0.5, 0.3, -1, -1]], [[True, True, False, False]]), False),
        (answer([["cat", "dog", "?"]], [[0.5, 0.2, -1]], [[True, True, False]]), False),
        (answer([["cat", "dog", "?", "!"]], [[0.5, 0.2, -1, -1]]), False),
    ],
    ids=["equal", "a tie", "other order", "other label", "other known", "other score", "shorter", "an output less"],
)
def test_answers_agree_but_for_rounding_and_ties(given, expected):
    assert same(given, EXPECTED) is expected


def test_damage_is_repeated_by_its_seed_and_changes_most_requests():
    body = document("embed_label", {"labels": np.array([b"snow leopard", b"cat"], object)})
    copies = [damaged(random.Random(seed), body) for seed in range(200)]
    assert copies == [damaged(random.Random(seed), body) for seed in range(200)]
    assert sum(copy != body for copy in copies) > 150


def test_documents_are_read_back():
    inputs = {"image_bytes": np.array([b"\xff\x00 photo"], object), "labels": np.array([[b"a", "é".encode()]], object)}
    signature, result = inputs_of_document(document("classify", inputs))
    assert signature == "classify"
    assert {name: value.tolist() for name, value in result.items()} == {n: v.tolist() for n, v in inputs.items()}
