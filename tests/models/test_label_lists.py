"""The label lists and hierarchies that come with the package."""

from pathlib import Path

import numpy as np
import pytest

import devise_tf.models
from devise_tf.evaluation.label_list_sizes import about_label_list
from devise_tf.evaluation.measure.correct_sets import CorrectSets
from devise_tf.labels import Hierarchy, LabelSet, WordSpace, load_ids
from devise_tf.labels.wordnet import find_wordnet
from devise_tf.metrics import hierarchical_correct_sets
from devise_tf.packaged import packaged_files
from devise_tf.text.npz_vectors import load_npz

FOLDER = Path(devise_tf.models.__file__).parent


def imagenet(name):
    return LabelSet.load(FOLDER / "imagenet" / f"labels_{name}.txt")


def test_packaged_hierarchies_hold_exactly_their_labels():
    trained, everything = imagenet("1k"), imagenet("21k")
    tree = Hierarchy.open("imagenet")
    assert set(trained.ids) | set(everything.ids) <= set(tree.parents)
    # Nothing but the labels and what is above them.
    assert tree.restricted_to([*trained.ids, *everything.ids]).parents == tree.parents
    assert [node for node, above in tree.parents.items() if not above] == ["n00001740"]  # entity
    small = Hierarchy.open("tiny_imagenet")
    assert all(set(above) <= set(tree.parents[label]) for label, above in small.parents.items())


@pytest.mark.slow
def test_packaged_imagenet_hierarchy_equals_wordnet():
    try:
        find_wordnet()
    except FileNotFoundError:
        pytest.skip("WordNet is not installed")
    ids = [*imagenet("1k").ids, *imagenet("21k").ids]
    assert Hierarchy.from_wordnet().restricted_to(ids).parents == Hierarchy.open("imagenet").parents


def test_packaged_hierarchies_are_small():
    assert all(Path(path).stat().st_size < 700_000 for path in packaged_files("hierarchy").values())


@pytest.mark.parametrize(("name", "hops", "number"), [("within_1_hop", 1, 1548), ("within_2_hops", 2, 5989)])
def test_lists_of_labels_within_some_hops_are_complete(name, hops, number):
    """Distances by steps of a vector over the links, not by `within`."""
    tree, trained, everything = Hierarchy.open("imagenet"), set(imagenet("1k").ids), imagenet("21k").ids
    links = np.array([(child, parent) for child, above in tree.parents.items() for parent in above])
    nodes, ends = np.unique(links, return_inverse=True)
    one, other = ends.reshape(links.shape).T
    near = np.isin(nodes, list(trained))
    for _ in range(hops):
        reached = near.copy()
        reached[one[near[other]]] = True
        reached[other[near[one]]] = True
        near = reached
    result = set(nodes[near].tolist())
    ids = load_ids(FOLDER / "imagenet" / f"{name}.txt")
    assert ids == [label for label in everything if label in result and label not in trained]
    assert len(ids) == number
    assert set(ids) == set(tree.within(trained, hops)) & set(everything) - trained


def test_unseen_21k_is_the_rest_of_imagenet_21k():
    trained = set(imagenet("1k").ids)
    ids = load_ids(FOLDER / "imagenet" / "unseen_21k.txt")
    assert ids == [label for label in imagenet("21k").ids if label not in trained]
    assert len(ids) == 20842


def test_every_label_of_a_run_has_terms():
    """Both label files together: one of the trained labels is in one of them only."""
    both = imagenet("1k").merged_with(imagenet("21k"))
    assert len(both) == 21842
    assert "n04399382" in both and "n04399382" not in imagenet("21k")
    for name in ("within_1_hop", "within_2_hops", "unseen_21k"):
        ids = load_ids(FOLDER / "imagenet" / f"{name}.txt")
        assert len(both.select([*imagenet("1k").ids, *ids])) == 1000 + len(ids)
        assert name in about_label_list(len(ids)) or name == "unseen_21k"


def test_card_states_the_sizes_of_correct_sets():
    """The card's figures, and the paper's chance row made from them: mean size over candidates."""
    ids = imagenet("1k").ids
    neighbors = Hierarchy.open("imagenet").restricted_to(ids).neighbors
    ks = [2, 5, 10, 20]
    sets = CorrectSets(neighbors, ids, ids, ids, ks)
    plain = hierarchical_correct_sets(neighbors, ids, ks, ids)
    assert all(sets.sizes(k).tolist() == [len(members) for members in plain[k]] for k in ks)
    means = [round(float(sets.sizes(k).mean()), 1) for k in ks]
    assert means == [4.6, 9.5, 17.8, 33.1]
    card = (FOLDER / "imagenet" / "README.md").read_text(encoding="utf-8")
    assert f"| training labels | 1,000 | {' | '.join(map(str, means))} |" in card
    assert "chance among the 1,000 is .0046 .0095 .0178 .0331 here" in " ".join(card.split())
    assert [round(float(sets.sizes(k).mean()) / 1000, 4) for k in ks] == [0.0046, 0.0095, 0.0178, 0.0331]


def test_cifar100_has_twenty_groups_of_five():
    """20 coarse labels of five fine ones, ids in the order of TensorFlow Datasets, which is that of the alphabet."""
    labels, tree = LabelSet.load(FOLDER / "cifar100" / "labels.txt"), Hierarchy.open("cifar100")
    assert len(labels) == 100 and labels.ids == sorted(labels.ids)
    children = {}
    for child, above in tree.parents.items():
        for parent in above:
            children.setdefault(parent, []).append(child)
    assert len(children) == 20 and {len(below) for below in children.values()} == {5}
    assert sorted(child for below in children.values() for child in below) == labels.ids
    assert sorted(children["trees"]) == ["maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"]
    sets = CorrectSets(tree.neighbors, labels.ids, labels.ids, labels.ids, [1, 2, 20])
    assert [set(sets.sizes(k).tolist()) for k in (1, 2, 20)] == [{1}, {5}, {5}]


def test_first_term_of_cifar100_labels_is_their_id():
    labels = LabelSet.load(FOLDER / "cifar100" / "labels.txt")
    assert [terms[0] for terms in labels.terms] == [terms[0] for terms in LabelSet.from_ids(labels.ids).terms]


def test_packaged_vectors_cover_cifar100():
    terms, vectors, _ = load_npz(packaged_files("vectors")["label_terms_300"])
    table = WordSpace(terms, vectors, missing="stop").table(LabelSet.load(FOLDER / "cifar100" / "labels.txt"))
    assert len(table) == 100 and table.composed == []
