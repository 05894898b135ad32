import pytest

from devise_tf.evaluation.report.label_groups import group_names, label_groups, top_ancestors
from devise_tf.labels import Hierarchy

TREE = Hierarchy(
    {
        **{f"dog{i}": ["dog"] for i in range(6)},
        **{f"cat{i}": ["cat"] for i in range(4)},
        **{f"bird{i}": ["bird"] for i in range(3)},
        **{f"cup{i}": ["cup"] for i in range(5)},
        "dog": ["mammal"], "cat": ["mammal"], "mammal": ["animal"], "bird": ["animal"], "fish": ["animal"],
        "animal": ["thing"], "cup": ["vessel"], "vessel": ["thing"], "rock": ["thing"],
    }
)  # fmt: skip
IDS = [node for node in TREE.parents if node[-1].isdigit()]


def sizes(groups):
    values = list(groups.values())
    return {group: values.count(group) for group in values}


def test_groups_are_the_branches_of_a_small_hierarchy():
    # 18 labels: mammals 10, birds 3, cups 5. The largest group loses its largest branch, again and again; "animal"
    # without mammals is all birds, and mammals without dogs are all cats. Chains get their lowest name.
    assert sizes(label_groups(IDS, TREE, 2)) == {("animal",): 13, ("cup",): 5}
    assert sizes(label_groups(IDS, TREE, 3)) == {("mammal",): 10, ("bird",): 3, ("cup",): 5}
    four = {("dog",): 6, ("cat",): 4, ("bird",): 3, ("cup",): 5}
    assert sizes(label_groups(IDS, TREE, 4)) == sizes(label_groups(IDS, TREE, 12)) == four


def test_rests_are_named_by_their_branches():
    ids = [*IDS, "fish", "rock"]
    groups = label_groups(ids, TREE, 3)
    assert sizes(groups) == {("mammal",): 10, ("bird", "fish"): 4, ("cup", "rock"): 6}
    names = group_names({**groups, "x": (), "y": ("a", "b", "c")}, {"cup": "mug", "mammal": "beast"})
    assert names["cup1"] == names["rock"] == "mug, rock" and names["dog1"] == "beast" and names["fish"] == "bird, fish"
    assert names["x"] == "other" and names["y"] == "a, b, …"


def test_few_labels_and_unknown_ones_have_no_group():
    groups = label_groups([*IDS, "rock", "stranger"], TREE, 5)
    assert groups["rock"] == () == groups["stranger"]
    assert label_groups(["stranger"], TREE) == {"stranger": ()}
    assert label_groups(["dog1"], TREE) == {"dog1": ("dog1",)}


def test_several_parents_and_roots():
    graph = Hierarchy({**{f"a{i}": ["x", "y"] for i in range(3)}, **{f"b{i}": ["y"] for i in range(4)}, "c0": ["z"],
                       "c1": ["z"]})  # fmt: skip
    ids = ["a0", "a1", "a2", "b0", "b1", "b2", "b3", "c0", "c1"]
    assert sizes(label_groups(ids, graph, 2)) == {("y",): 7, ("z",): 2}
    assert all(len(set(label_groups(ids, graph, k).values())) <= k for k in range(2, 8))


def test_limit_bounds_the_number_of_groups():
    with pytest.raises(ValueError, match="Received: limit=1"):
        label_groups(IDS, TREE, 1)


def test_top_ancestors_leave_out_shared_ones():
    result = top_ancestors(["dog1", "bird2", "rock", "stranger"], TREE)
    assert result == {
        "dog1": ["animal", "mammal", "dog"], "bird2": ["animal", "bird", ""], "rock": ["", "", ""],
        "stranger": ["", "", ""],
    }  # fmt: skip
    assert top_ancestors(["dog1", "cat2"], TREE, levels=1) == {"dog1": ["dog"], "cat2": ["cat"]}
