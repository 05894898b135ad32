"""Label vectors made of names, descriptions and kinds."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import devise_tf.models
from devise_tf import vectors as vectors_command
from devise_tf.labels import Hierarchy, LabelSet, WordSpace
from devise_tf.labels.described_vectors import described_terms, described_vectors, general_labels
from devise_tf.labels.descriptions import Descriptions
from devise_tf.text.npz_vectors import load_npz

TERMS = ["snow_leopard", "leopard", "spotted", "fur", "round", "ball", "toy", "cat", "animal", "on", "kite", "string"]
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(len(TERMS), 6)).astype(np.float32) * RNG.uniform(0.5, 2, (len(TERMS), 1)).astype(np.float32)
SHARES = np.linspace(0.3, 0.001, len(TERMS))
HIERARCHY = Hierarchy({"n00000001": ["n00000003"], "n00000003": ["n00000004", "n00000005"], "n00000004": []})
KINDS = LabelSet(["n00000003", "n00000004", "n00000005"], [["cat"], ["animal"], ["unheard of"]])
DESCRIBED = Descriptions(
    LabelSet(
        ["n00000001", "ball (toy)", "kite (toy)", "kite (bird)", "nothing"],
        [["snow leopard", "ounce"], ["ball", "balls"], ["kite"], ["kite", "bird"], ["xyzzy"]],
    ),
    ["Spotted fur, fur on fur.", "A round toy.", "A toy on a string.", "Spotted animal", "?!"],
)


def row(term):
    return VECTORS[TERMS.index(term)].astype(np.float64)


def unit(vector):
    return vector / np.linalg.norm(vector)


def sif(*words):
    return sum(1e-4 / (1e-4 + SHARES[TERMS.index(word)]) * unit(row(word)) for word in words)


def test_vectors_from_the_formula():
    """Names, and of descriptions and kinds what is not common to all; each of unit norm, weighted 1, 2, 1."""
    result = described_vectors(WordSpace(TERMS, VECTORS), SHARES, DESCRIBED, HIERARCHY, KINDS)
    names = [unit(unit(row("snow_leopard")) + unit(row("leopard"))), *map(unit, map(row, ("ball", "kite", "kite")))]
    texts = [
        sif("spotted", "fur", "fur", "on", "fur"), sif("round", "toy"), sif("toy", "on", "string"),
        sif("spotted", "animal"),
    ]  # fmt: skip
    texts = np.array([unit(text) for text in texts])
    texts -= texts.mean(axis=0)
    kind = unit(0.7 * unit(row("cat")) + 0.49 * unit(row("animal")))  # alone, so that nothing is common
    for i, name in enumerate(names):
        expected = name + 2 * unit(texts[i]) + (kind if i == 0 else 0)
        np.testing.assert_allclose(result[i], unit(expected), atol=1e-6)
    assert not result[4].any()
    without = described_vectors(WordSpace(TERMS, VECTORS), SHARES, DESCRIBED)
    np.testing.assert_allclose(without[0], unit(names[0] + 2 * unit(texts[0])), atol=1e-6)


def test_names_stand_for_their_labels_and_shared_ones_for_the_mean():
    vectors = np.eye(5, 4)
    called, made = described_terms(DESCRIBED.labels, vectors)
    by_name = dict(zip(called, made, strict=True))
    assert set(called) == {
        "n00000001", "snow_leopard", "ounce", "ball_(toy)", "ball", "balls", "kite_(toy)", "kite_(bird)",
        "kite", "bird",
    }  # fmt: skip
    np.testing.assert_array_equal(by_name["ounce"], vectors[0])
    np.testing.assert_array_equal(by_name["kite_(bird)"], vectors[3])
    np.testing.assert_allclose(by_name["kite"], unit(vectors[2] + vectors[3]), atol=1e-7)


def test_general_labels_lie_among_those_below_them():
    """Their names, and twice the mean of the vectors below; a kind above one label alone is no general label."""
    labels = LabelSet(["n1", "n2", "n3", "n4", "toy"], [["a"], ["b"], ["c"], ["d"], ["toy"]])
    vectors = np.concatenate([RNG.normal(size=(3, 6)), np.zeros((1, 6)), RNG.normal(size=(1, 6))])
    links = {"n1": ["n5"], "n2": ["n5"], "n3": ["n6"], "n4": ["n6"], "n5": ["n7"], "n6": ["n7"], "n7": ["n3"]}
    kinds = LabelSet(["n7", "n6", "n5", "n3"], [["animal"], ["spotted"], ["xyzzy"], ["cat"]])
    hierarchy = Hierarchy({**links, "n3": [], "n8": ["n6"]})
    general, made = general_labels(WordSpace(TERMS, VECTORS), labels, vectors, hierarchy, kinds)
    assert general.ids == ["n7", "n5"] and general.terms == [["animal"], ["xyzzy"]]
    pair = unit(vectors[:2].mean(axis=0))
    np.testing.assert_allclose(made, [unit(unit(row("animal")) + 2 * pair), pair], atol=1e-6)


def test_described_labels_are_taken_as_they_are():
    """By the id of a synset, a name with its sense, or a term; no head is added to them."""
    made = described_vectors(WordSpace(TERMS, VECTORS), SHARES, DESCRIBED, HIERARCHY, KINDS)
    called, vectors = described_terms(DESCRIBED.labels, made)
    others = [i for i, term in enumerate(TERMS) if term not in called]
    terms = [*called, *(TERMS[i] for i in others)]
    space = WordSpace(terms, np.concatenate([vectors, VECTORS[others]]), "heads", described=frozenset(called))
    labels = LabelSet(["n00000001", "k", "s"], [["leopard"], ["kite (bird)"], ["Snow leopard"]])
    table = space.table(labels).values
    np.testing.assert_allclose(table, made[[0, 3, 0]], atol=1e-6)
    np.testing.assert_allclose(space.table(["n00000001", "kite (bird)"]).values, made[[0, 3]], atol=1e-6)
    plain = dataclasses.replace(space, described=frozenset())
    assert np.abs(plain.table(labels).values[2] - made[0]).max() > 0.01


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n", r"line 1: expected `id<TAB>term, term two<TAB>description`. Received: 'a\\tb'"),
        ("a\tb\tc\n\na\tx\ty\n", "line 3: 'a' is described already"),
        ("a\t?\tc\n", "empty term"),
        ("\n", "holds no labels"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / "looks.tsv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Descriptions.load([path])


FOLDER = Path(devise_tf.models.__file__).parent / "descriptions"


def test_descriptions_of_the_package():
    """All of ImageNet's labels with their own terms, 1,500 everyday names or more, in a few plain sentences each."""
    imagenet = Descriptions.load([FOLDER / "imagenet_1k.tsv"])
    assert imagenet.labels == LabelSet.load(FOLDER.parent / "imagenet" / "labels_1k.txt")
    everything = Descriptions.load([FOLDER / "imagenet_1k.tsv", FOLDER / "everyday.tsv"])
    assert len(everything) >= 2500
    for label, text in zip(everything.labels.ids, everything.texts, strict=True):
        assert text.isascii() and 25 <= len(text.split()) <= 75, label
        assert text[0].isupper() and text.rstrip().endswith("."), label


@pytest.mark.slow
def test_packaged_vectors_are_those_of_the_descriptions(tmp_path):
    """As the card's command makes them."""
    flags = [
        "--vectors=label_terms_300",
        "--descriptions=models/descriptions/imagenet_1k.tsv,models/descriptions/everyday.tsv",
        "--hierarchy=imagenet",
        "--names=models/imagenet/labels_21k.txt",
    ]
    assert vectors_command.run(["describe", str(tmp_path / "made.npz"), "--format=npz_int8", *flags]) == 0
    terms, vectors, _ = load_npz(tmp_path / "made.npz")
    packaged_terms, packaged, _ = load_npz(FOLDER.parent / "efficientnet_lite" / "described_300.npz")
    assert terms == packaged_terms
    np.testing.assert_allclose(vectors, packaged, atol=2e-3)  # half precision


def test_command_needs_names_for_a_hierarchy(tmp_path, capsys):
    arguments = ["describe", str(tmp_path / "x.npz"), "--descriptions=a.tsv", "--hierarchy=imagenet"]
    assert vectors_command.run(arguments) != 0
    assert "describe needs --descriptions, and --names" in capsys.readouterr().err
