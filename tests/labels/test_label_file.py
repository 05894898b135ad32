"""Lists of labels in the forms in which people have them."""

import json

import pytest

from devise_tf.labels import LabelSet, load_ids
from devise_tf.labels.label_file import read_label_file
from devise_tf.packaged import packaged_path

TERMS = [["snow leopard", "ounce"], ["cat"], ["crane", "big bird"]]
SYNSETS = ["n02128757", "n02121620", "n02012849"]
FIRST = [terms[0] for terms in TERMS]


def write(folder, text, name="labels.txt"):
    path = folder / name
    path.write_bytes(text.encode())
    return path


def read(folder, text, name="labels.txt"):
    return read_label_file(write(folder, text, name))


def with_synsets(ids=SYNSETS, terms=TERMS):
    """Forms that give ids and terms."""
    pairs = list(zip(ids, map(", ".join, terms), strict=True))
    rows = [{"id": label, "name": text} for label, text in pairs]
    return {
        "tab.txt": "".join(f"{label}\t{text}\n" for label, text in pairs),
        "space.txt": "".join(f"{label} {text}\n" for label, text in pairs),
        "spaces.txt": "".join(f"{label}   {text}\r\n" for label, text in pairs),
        "colon.txt": "".join(f"{label}: {text}\n" for label, text in pairs),
        "number.txt": "".join(f"{label} {n} {text}\n" for n, (label, text) in enumerate(pairs, 1)),
        "three_tabs.txt": "".join(f"{n}\t{label}\t{text}\n" for n, (label, text) in enumerate(pairs)),
        "head.tsv": "wnid\twords\n" + "".join(f"{label}\t{text}\n" for label, text in pairs),
        "head.txt": "wnid\twords\n" + "".join(f"{label}\t{text}\n" for label, text in pairs),
        "wnid_name.csv": "wnid,name\n" + "".join(f'{label},"{text}"\n' for label, text in pairs),
        "synset_words.csv": "synset_id,words\n" + "".join(f'{label},"{text}"\n' for label, text in pairs),
        "index.csv": ",wnid,class_name\n" + "".join(f'{n},{label},"{text}"\n' for n, (label, text) in enumerate(pairs)),
        "description.csv": "id,name,description\n" + "".join(f'{label},"{text}",it is.\n' for label, text in pairs),
        "numbers.csv": "".join(f'{n},{label},"{text}"\n' for n, (label, text) in enumerate(pairs)),
        "no_head.csv": "".join(f'{label},"{text}"\n' for label, text in pairs),
        "semicolons.csv": "wnid;name\n" + "".join(f"{label};{text}\n" for label, text in pairs),
        "class_index.json": json.dumps({str(n): [label, *terms[n]] for n, label in enumerate(ids)}),
        "by_id.json": json.dumps(dict(pairs)),
        "lists_by_id.json": json.dumps(dict(zip(ids, terms, strict=True))),
        "rows.json": json.dumps(rows),
        "coco.json": json.dumps({"images": [], "categories": [{**row, "supercategory": "animal"} for row in rows]}),
        "lines.json": json.dumps([f"{label} {text}" for label, text in pairs]),
        "dict.py": f"# The labels.\nLABELS = {dict(pairs)!r}\n",
    }


def without_ids(terms=TERMS):
    """Forms that give terms alone: the first one is the id."""
    texts = list(map(", ".join, terms))
    return {
        "names.txt": "# names\n" + "\n".join(texts),
        "number_space.txt": "".join(f"{n} {text}\n" for n, text in enumerate(texts)),
        "number_colon.txt": "".join(f"{n}:{text}\n" for n, text in enumerate(texts)),
        "number_dot.txt": "".join(f"{n}. {text}\n" for n, text in enumerate(texts, 1)),
        "number_last.txt": "".join(f"{text} {n}\n" for n, text in enumerate(texts)),
        "quoted.txt": "".join(f"{n}: '{text}',\n" for n, text in enumerate(texts)),
        "dict.txt": "{" + ",\n ".join(f"{n}: {text!r}" for n, text in enumerate(texts)) + "}",
        "list.txt": repr(texts),
        "list.py": f"import os\nNAMES: list[str] = {texts!r}\n",
        "list.json": json.dumps(texts),
        "id2label.json": json.dumps({"model_type": "vit", "id2label": dict(enumerate(texts))}),
        "label2id.json": json.dumps({text: n for n, text in enumerate(texts)}),
        "numbers.json": json.dumps(dict(enumerate(terms))),
        "lists.json": json.dumps([{"name": text} for text in texts]),
        "data.yaml": "path: ../images\nnames:\n" + "".join(f"  {n}: {text}\n" for n, text in enumerate(texts)),
        "list.yml": "".join(f"- {text}\n" for text in texts),
        "head.csv": "class_name\n" + "".join(f'"{text}"\n' for text in texts),
        "index_name.csv": "index,name\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(texts)),
        "names.csv": "".join(f'"{text}"\n' for text in texts),
    }


@pytest.mark.parametrize("name", with_synsets())
def test_ids_and_terms_are_read_from_every_form(name, tmp_path):
    file = read(tmp_path, with_synsets()[name], name)
    assert (file.ids, file.terms, file.repeated) == (SYNSETS, TERMS, [])
    assert LabelSet.load(tmp_path / name) == LabelSet(SYNSETS, TERMS)


@pytest.mark.parametrize("name", without_ids())
def test_terms_without_ids_are_read_from_every_form(name, tmp_path):
    file = read(tmp_path, without_ids()[name], name)
    assert (file.ids, file.terms, file.repeated) == (FIRST, TERMS, [])


@pytest.mark.parametrize("name", [*with_synsets(), *without_ids()])
def test_every_form_of_imagenets_list_has_the_same_labels(name, tmp_path):
    """The terms of all 1,000; where there are no ids, the two cranes, which have no other term, are one label."""
    expected = LabelSet.load(packaged_path("models/imagenet/labels_1k.txt"))
    forms = {**with_synsets(expected.ids, expected.terms), **without_ids(expected.terms)}
    labels = LabelSet.load(write(tmp_path, forms[name], name))
    if name in with_synsets():
        assert labels == expected
    else:
        assert labels.terms == list({tuple(terms): terms for terms in expected.terms}.values())
        assert len(labels) == 999 and labels.ids.count("crane") == 1


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("n02128757 ounce\nn02121620 cat\n", "a synset id and terms a line"),
        ("n1\tounce\n", "an id, a tab and terms a line"),
        ("0: ounce\n1: cat\n", "a number and terms a line"),
        ("ounce\ncat\n", "terms, a label a line"),
        ('{"0": "ounce"}', "JSON, a mapping from numbers to terms"),
    ],
)
def test_one_line_says_what_the_file_was_taken_for(text, form, tmp_path):
    line = str(read(tmp_path, text))
    assert line == f"{tmp_path / 'labels.txt'}: {len(read(tmp_path, text).ids)} labels; {form}"


def test_columns_are_named_by_the_line(tmp_path):
    line = str(read(tmp_path, "index,wnid,name,synonyms\n0,n1,cat,\n", "labels.csv"))
    assert line.endswith("1 labels; columns, ids in 'wnid', terms in 'name', 'synonyms'")


@pytest.mark.parametrize(
    ("text", "ids", "terms", "repeated"),
    [
        ("crane\nowl\ncrane\n", ["crane", "owl"], [["crane"], ["owl"]], ["crane (lines 1 and 3)"]),
        ("n1\tcat\nn1\tcat\n", ["n1"], [["cat"]], ["n1 (lines 1 and 2)"]),
        # Two labels whose first terms are equal are told apart by all their terms.
        (
            "maillot\nmaillot, tank suit\nowl, bird\n",
            ["maillot", "maillot, tank suit", "owl"],
            [["maillot"], ["maillot", "tank suit"], ["owl", "bird"]],
            [],
        ),
    ],
)
def test_repeated_labels_count_once_and_are_named(text, ids, terms, repeated, tmp_path):
    file = read(tmp_path, text)
    assert (file.ids, file.terms, file.repeated) == (ids, terms, repeated)
    assert ("1 repeated, which count once: " + "".join(repeated) in str(file)) == bool(repeated)


@pytest.mark.parametrize(
    "names",
    [
        ["Siamese_cat", "n02123597-Siamese_cat", "001.Black_footed_Albatross"],
        ["707-320", "727-200"],
        ["3.5mm jack", "2nd base"],
        ["101", "102"],
        ["100 meters", "100 miles"],
        ["Acura RL 2012", "Audi A5 2012"],
        ["2 cubs"],
    ],
)
def test_numbers_that_belong_to_names_stay(names, tmp_path):
    """Names of folders, of cars, of aircraft."""
    assert read(tmp_path, "".join(f"{name}\n" for name in names)).ids == names


def test_labels_of_folders_are_read_as_before(tmp_path):
    """A file that `LabelSet.save` wrote is read as it is, whatever its ids and terms look like."""
    labels = LabelSet(
        ["label", "id", "0", "1: a", "n02128757 cat", "wnid", "{", "a, b"],
        [["label"], ["id"], ["'hood", "x'"], ["{0: 1}"], ["a", '"b"'], ["name"], ["[x]"], ["n02128757"]],
    )
    labels.save(tmp_path / "labels.txt")
    assert LabelSet.load(tmp_path / "labels.txt") == labels


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"0": ["a"', r"a.json cannot be read: it is not JSON \(.*line 1.*Received: "),
        ("a.json", '{"a": "x", "a": "y"}', "a.json cannot be read: a key stands twice in one mapping.*Received: 'a'"),
        ("a.txt", '{"a": "x", "a": "y"}', "a.txt cannot be read: a key stands twice in one mapping.*Received: 'a'"),
        ("a.json", '{"names": {"0": "x", "1": "y", "0": "z"}}', "stands twice.*Received: '0'"),
        ("a.yaml", "a: x\n'a': y\n", "a.yaml cannot be read: a key stands twice.*Received: 'a'"),
        ("a.yaml", "names:\n- {0: x, 1: y, 0x1: z}\n", "stands twice.*Received: 1"),
        ("a.py", "A = {'a': 'x', 'b': 'y', 'a': 'z'}\n", "a.py cannot be read: a key stands twice.*Received: 'a'"),
        ("a.txt", "A = {0: {'n': 'x', 'n': 'y'}}", "stands twice.*Received: 'n'"),
        ("a.json", '{"a": {"b": {"c": 1}}}', "no list of labels: .*Received: .*'c': 1"),
        ("a.json", "3", "holds JSON that is no list of labels: expected texts, a mapping.*Received: '3'"),
        ("a.json", "[1, 2]", "no list of labels"),
        ("a.json", "[]", "a.json holds no labels"),
        ("a.json", '{"0": "cat", "1": []}', r"a.json, entry 2: a label's id must not be empty.*Received: '1: \[\]'"),
        ("a.csv", "index,name\n0,cat\n1,\n", "a.csv, line 3: a label's id must not be empty"),
        ("a.json", '{"0": "cat", "1": ""}', r"a.json, entry 2: a label's id must not be empty.*Received: '1: '"),
        ("a.json", "[" * 100_000, "cannot be read: it is not JSON"),
        ("a.yaml", "names: [a, b", "cannot be read: it is not YAML"),
        ("a.yaml", "!!python/object/apply:os.system ['true']", "cannot be read: it is not YAML"),
        ("a.py", "import os\n", r"not Python \(it holds no list and no mapping\)"),
        ("a.py", "LABELS = [print('x')]\n", "not Python"),
        ("a.txt", "{0: 'a'", "it is not JSON .* not Python"),
        ("a.txt", "<!DOCTYPE html>\n<p>", "a.txt is HTML or XML.*download the file itself.*Received: '<!DOCTYPE html>"),
    ],
)
def test_what_is_no_list_of_labels_is_refused(name, text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text, name)


def test_aliases_of_yaml_do_not_multiply(tmp_path):
    """A small file whose lists would hold billions of texts."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{n}: &{n} [{', '.join(['*' + chr(ord(n) - 1)] * 9)}]" for n in "bcdefghi"]
    with pytest.raises(ValueError, match="no list of labels"):
        read(tmp_path, "\n".join(lines) + "\n", "a.yaml")


def test_a_mapping_of_yaml_may_replace_what_it_merges(tmp_path):
    text = "base: &base {0: cat, 1: dog}\nnames: {<<: *base, 1: fox}\n"
    assert read(tmp_path, text, "a.yaml").ids == ["cat", "fox"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", r'["cafe\u0301", "a\u030a"]'),
        ("a.json", r'{"cafe\u0301": 0, "a\u030a": 1}'),
        ("a.json", r'{"cafe\u0301": "cafe\u0301", "\u00e5": ["a\u030a"]}'),
        ("a.json", r'[{"name": "cafe\u0301"}, {"name": "a\u030a"}]'),
        ("a.yaml", r'names: {0: "cafe\u0301", 1: "a\u030a"}'),
        ("a.py", r"NAMES = ['cafe\u0301', 'a\N{COMBINING RING ABOVE}']"),
    ],
)
def test_escapes_that_write_accents_apart_are_the_same_name(tmp_path, name, text):
    file = read(tmp_path, text, name)
    assert (file.ids, file.terms) == (["caf\u00e9", "\u00e5"], [["caf\u00e9"], ["\u00e5"]])


def test_letters_and_accents_written_apart_are_the_same_name(tmp_path):
    composed, apart = "caf\u00e9\nå\n", "cafe\u0301\na\u030a\n"
    assert read(tmp_path, composed).ids == read(tmp_path, apart).ids == ["caf\u00e9", "\u00e5"]
    assert load_ids(write(tmp_path, apart)) == load_ids(write(tmp_path, composed))
