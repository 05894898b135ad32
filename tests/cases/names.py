"""Lists of labels, and labels in all spellings."""

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from devise_tf.labels import LabelSet, WordSpace
from devise_tf.labels.candidate_lists import candidate_labels
from devise_tf.labels.label_file import read_label_file
from devise_tf.packaged import packaged_path
from devise_tf.text import Corpus, Vocabulary, load_vectors, save_vectors
from tests.cases.preset import drawing, imagenet, known_names, nearest_names, predict, preset, same_scores, scores
from tests.cases.registry import Finding, case, write
from tests.helpers import commands

HINDI = ["माला", "मेला", "मूली", "मील"]  # garland, fair, radish, mile


def _read(path: Path, text: str) -> tuple[LabelSet, str]:
    """The labels of a file with this text, and what it was taken for."""
    file = read_label_file(write(path, text))
    return LabelSet(file.ids, file.terms), str(file).removeprefix(f"{path}: ")


def _imagenet_lines(separator: str) -> str:
    pairs = zip(imagenet().ids, imagenet().terms, strict=True)
    return "".join(f"{label}{separator}{', '.join(terms)}\n" for label, terms in pairs)


def _vectors_command(*arguments: object) -> str:
    """What `python -m devise_tf.vectors` prints."""
    from devise_tf import vectors as command

    outcome = commands.call(command.run, *arguments)
    if outcome.status:
        raise ValueError(outcome.err.strip())
    return outcome.out


def _whole(path: Path, labels: object) -> int:
    """How many labels of a file have a vector of their first term, as the command `coverage` says."""
    output = path.with_suffix(".json")
    _vectors_command("coverage", f"--vectors={path}", f"--labels_file={labels}", f"--output={output}")
    return len(json.loads(output.read_text())["first_whole"])


def _exactly(path: Path, names: Sequence[str]) -> int:
    """How many of the names have, as labels, the very vectors that the file's terms of these spellings have."""
    terms, vectors = load_vectors(path)
    space = WordSpace(terms, vectors, missing="drop")
    rows = [terms.index(name.replace(" ", "_")) for name in names]
    expected = vectors[rows] / np.linalg.norm(vectors[rows], axis=1, keepdims=True)
    result = {}
    for name in names:
        table = space.table([name], some_known=False)
        result[name] = table.values[0] if table.ids else np.zeros(vectors.shape[1])
    return sum(np.allclose(result[name], row, atol=1e-6) for name, row in zip(names, expected, strict=True))


@case("L01", "a space behind the synset id", "as with a tab")
def space_behind_the_id(folder: Path) -> Finding:
    labels, said = _read(folder / "labels.txt", _imagenet_lines(" "))
    return Finding(said, labels == imagenet() and not preset().known(labels).unknown)


@case("L03", "imagenet_class_index.json", "it is read")
def class_index(folder: Path) -> Finding:
    pairs = zip(imagenet().ids, imagenet().terms, strict=True)
    index = {str(number): [label, terms[0]] for number, (label, terms) in enumerate(pairs)}
    labels, said = _read(folder / "imagenet_class_index.json", json.dumps(index))
    return Finding(said, labels.ids == imagenet().ids and labels.terms == [[terms[0]] for terms in imagenet().terms])


@case("L05", "terms without an id, `tench, Tinca tinca`, in a file and from Python", "the first term with a vector")
def terms_without_an_id(folder: Path) -> Finding:
    texts = ["tabby, tabby_cat", "tench, Tinca tinca", "no such word, snow leopard"]
    labels, said = _read(folder / "labels.txt", "".join(f"{text}\n" for text in texts))
    by_file, by_text = scores(labels), scores(texts)
    same = [
        text for text, id_ in zip(texts, labels.ids, strict=True) if abs(by_file[id_] - by_text.get(text, 9)) < 1e-5
    ]
    space = WordSpace(["tabby", "tench", "snow_leopard", "tinca", "word"], np.eye(5), missing="drop")
    first = [np.array_equal(space.table(given).values, np.eye(5)[:3]) for given in (labels, texts)]
    right = labels.terms == [text.replace("_", " ").split(", ") for text in texts] and all(first) and len(same) == 3
    return Finding(f"{said}; from Python {len(same)} of 3 are scored as from the file", right)


@case("L06", "numbered lines, `0 Snow leopard`, `0:daisy`", "the number is an index")
def numbered_lines(folder: Path) -> Finding:
    names = [terms[0] for terms in imagenet().terms[:50]]
    read = [
        _read(folder / "labels.txt", "".join(f"{number}{sign}{name}\n" for number, name in enumerate(names)))
        for sign in (" ", ":", ": ", ". ")
    ]
    return Finding(read[0][1], all(labels.terms == [[name] for name in names] for labels, _ in read))


@case("L07", "CSV with a head, `wnid,name`, `class_name`, `synset_id,words`", "two labels of two rows")
def heads_of_tables(folder: Path) -> Finding:
    rows = [("n02128757", "snow leopard"), ("n02123045", "tabby")]
    texts = [
        f"{head}\n" + "".join(f"{label},{name}\n" if "," in head else f"{name}\n" for label, name in rows)
        for head in ("wnid,name", "class_name", "synset_id,words", "Class ID,Class Name", "label,display_name")
    ]
    read = [_read(folder / "labels.csv", text)[0] for text in texts]
    right = sum(labels.terms == [["snow leopard"], ["tabby"]] for labels in read)
    return Finding(f"{right} of {len(texts)} heads are seen", right == len(texts))


@case("L09", '"crane" and "maillot" twice, in a list and in --labels', "once, with a note")
def repeated_names(folder: Path) -> Finding:
    names = [terms[0] for terms in imagenet().terms]
    labels, said = _read(folder / "labels.txt", "".join(f"{name}\n" for name in names))
    drawing().save(folder / "photo.png")
    outcome = predict(folder / "photo.png", "--labels=crane,crane,maillot,maillot")
    answers = len(outcome.out.splitlines()) - 1
    noted = "2 repeated, which count once: crane " in said and "duplicates: crane, maillot" in outcome.err
    return Finding(
        f"{len(labels)} labels, {said.rpartition('; ')[2]}; --labels: {answers} answers, {outcome.err.strip()}",
        noted and len(labels) == len(set(names)) and answers == 2,
    )


@case("K01", "German nouns, `Hund`, in a vector file that has them so", "found whole")
def german_nouns(folder: Path) -> Finding:
    nouns = ["Hund", "Katze", "Straße", "Füchse", "Rotes Kreuz"]
    path, labels = folder / "vectors.vec", write(folder / "labels.txt", "".join(f"{noun}\n" for noun in nouns))
    terms = ["der", *(noun.replace(" ", "_") for noun in nouns), "rotes", "kreuz"]
    save_vectors(path, terms, np.random.default_rng(0).normal(size=(len(terms), 6)), "word2vec_text")
    whole, exact = _whole(path, labels), _exactly(path, nouns)
    said = _vectors_command("convert", path, folder / "some.bin", f"--labels_file={labels}").splitlines()[0]
    kept = set(load_vectors(folder / "some.bin")[0]) & set(terms[1:6])
    text = f"coverage: {whole} of 5 whole; predictions: {exact} of 5; convert keeps {len(kept)}: {said}"
    return Finding(text, whole == 5 and exact == 5 and len(kept) == 5)


@case("K02", "ImageNet's names in a vector file as they are spelled", "all found whole")
def names_as_they_are_spelled(folder: Path) -> Finding:
    names = list(dict.fromkeys(terms[0] for terms in imagenet().terms))
    terms = [name.replace(" ", "_") for name in names]
    path = folder / "vectors.vec"
    save_vectors(path, terms, np.random.default_rng(0).normal(size=(len(terms), 6)), "word2vec_text")
    whole, exact = _whole(path, packaged_path("models/imagenet/labels_1k.txt")), _exactly(path, names)
    text = f"coverage: {whole} of 1000 whole; predictions: {exact} of {len(names)}"
    return Finding(text, whole == 1000 and exact == len(names))


@case("K05", '"kite (bird of prey)", "a photo of a snow leopard"', "as the name that is in it")
def names_with_more_around_them(folder: Path) -> Finding:
    finding = _forms("{} (thing)", "a {}", "the {}", "a photo of a {}", "photo of the {}")
    [bird] = nearest_names(["kite (bird of prey)"])
    [plural] = nearest_names(["the snow leopards"])
    text = f"{finding.text}; kite (bird of prey): {bird}; the snow leopards: {plural}"
    return Finding(text, finding.right and (bird, plural) == ("kite", "snow leopard"))


@case("B15", "CLIP's prompts as labels", "as the names in them")
def prompts(folder: Path) -> Finding:
    return _forms(
        "a photo of a {}", "a bad photo of a {}.", "a close-up photo of the {}.", "itap of a {}.", "art of a {}"
    )


def _forms(*forms: str) -> Finding:
    """Names in these forms: each stays nearest to itself, and a photo of a snow leopard is a snow leopard."""
    shares = {}
    for form in forms:
        nearest = nearest_names([form.format(name) for name in known_names()])
        shares[form] = np.mean([name == other for name, other in zip(known_names(), nearest, strict=True)])
    same = same_scores(["a photo of a snow leopard"], ["snow leopard"])
    text = ", ".join(f"{form!r} {share:.1%}" for form, share in shares.items())
    return Finding(f"names kept: {text}{'' if same else '; scores differ'}", bool(same) and min(shares.values()) > 0.99)


@case("U01", "Hindi text and labels, माला, मेला, मूली, मील", "four terms")
def hindi_text(folder: Path) -> Finding:
    text = write(folder / "text.txt", "".join(f"यह {word} है\n" for word in HINDI * 3))
    terms = Vocabulary.build(Corpus(str(text)), min_count=1, label_terms=HINDI).terms
    table = WordSpace(terms, np.eye(len(terms)), missing="drop").table(HINDI, some_known=False)
    words = [word for word in HINDI if word in terms]
    distinct = len({row.tobytes() for row in table.values})
    said = f"{len(words)} of 4 words are terms of the text; {distinct} labels, {len(table.repeated)} dropped"
    return Finding(said, len(words) == distinct == 4 and not table.repeated and not table.composed)


@case("U02", "a Hindi vector file that has the words", "the exact entries")
def hindi_vectors(folder: Path) -> Finding:
    path = folder / "vectors.vec"
    terms = [*HINDI, "म", "ल", "मल"]
    save_vectors(path, terms, np.random.default_rng(0).normal(size=(len(terms), 6)), "word2vec_text")
    exact = _exactly(path, HINDI)
    return Finding(f"{exact} of 4 are the exact entries", exact == 4)


@case("U04", "folders named in NFD (macOS), labels typed in NFC", "the same name")
def names_in_two_unicode_forms(folder: Path) -> Finding:
    from devise_tf.config import Config
    from devise_tf.training.inputs import Inputs
    from tests.helpers import tiny_run

    settings = tiny_run.settings(tiny_run.make_inputs(folder, images=2), folder / "run")
    for split in ("train", "val"):
        images = folder / "images" / split
        (images / "fox").rename(images / unicodedata.normalize("NFD", "café"))
    unseen = write(folder / "unseen.txt", unicodedata.normalize("NFC", "café\n"))
    opened = Inputs(Config(**{**settings, "unseen_labels": str(unseen)}), text_needed=False)
    return Finding(f"seen {', '.join(opened.seen)}; unseen {', '.join(opened.unseen)}", opened.unseen == ["café"])


@case("W01", "WordNet 3.1's files as candidates of a softmax", "labels by their terms")
def another_wordnet(folder: Path) -> Finding:
    # Under the id that is ImageNet's for a hammer: the ids of version 3.1 are other synsets'.
    hammer, plaster = "n03481172", "n02786058"
    line = f"{hammer[1:]} 06 n 01 Band_Aid 0 000 | a trademark\n"
    write(folder / "data.noun", f"  3 WordNet 3.1 Copyright 2011 by Princeton University.\n{line}")
    own = scores(None, "softmax")
    result = scores(candidate_labels(f"wordnet:{folder}"), "softmax")
    [(label, score)] = result.items()
    text = f"{label} is scored {score:.6f}, Band Aid {own[plaster]:.6f}, hammer {own[hammer]:.6f}"
    return Finding(text, abs(score - own[plaster]) < 1e-6 and abs(own[plaster] - own[hammer]) > 1e-6)
