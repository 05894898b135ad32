"""Vector files and text."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from devise_tf.text import Corpus, Vocabulary, load_vectors, save_vectors
from tests.cases.registry import Finding, case, error_of, messages, write
from tests.helpers import commands
from tests.helpers.fasttext_file import fasttext_file, fasttext_vectors

TERMS = ["cat", "dog", "snow_leopard", "red", "fox"]
VECTORS = np.random.default_rng(0).normal(size=(len(TERMS), 6)).astype(np.float32)


def _nearest(path: object) -> str:
    """What the command `nearest` answers about a file: its first line, or its error."""
    from devise_tf import vectors as command

    outcome = commands.call(command.run, "nearest", "cat", f"--vectors={path}", "--k=2")
    return (outcome.err if outcome.status else outcome.out).splitlines()[0]


@case("V01", "a term that is white space, as in GloVe's files", "left out with a warning, everywhere")
def white_space(folder: Path) -> Finding:
    from devise_tf import vectors as command

    rows = [f"{term} {' '.join(map(str, row))}\n" for term, row in zip(TERMS, VECTORS.tolist(), strict=True)]
    rows[2:2] = [f"{space} {' '.join('123456')}\n" for space in ("\u00a0", "\x85")]
    vectors = write(folder / "glove.txt", "".join(rows))
    labels = write(folder / "labels.txt", "".join(f"{term}\n" for term in TERMS))
    hierarchy = write(
        folder / "hierarchy.txt", "".join(f"{'thing' if i < 2 else 'animal'} {t}\n" for i, t in enumerate(TERMS))
    )
    for name in ("wordsim353.tsv", "simlex999.txt"):
        write(folder / "bench" / name, "cat\tdog\t9\nred\tfox\t2\nfox\tcat\t5\n")
    write(folder / "bench" / "questions-words.txt", ": family\ncat dog red fox\n")
    arguments = {
        "nearest": ["cat"],
        "similarity": ["cat", "dog"],
        "analogy": ["cat", "dog", "fox"],
        "evaluate": [f"--benchmarks={folder / 'bench'}"],
        "coverage": [f"--labels_file={labels}"],
        "plot": [f"--labels_file={labels}", f"--hierarchy={hierarchy}", f"--output={folder / 'a.png'}"],
        "projector": [f"--output={folder / 'projector'}"],
        "convert": [vectors, folder / "out.bin", "--limit=3"],
    }
    right = []
    for name, more in arguments.items():
        source = [] if name == "convert" else [f"--vectors={vectors}"]
        with messages() as said:
            status = commands.call(command.run, name, *more, *source).status
        if status == 0 and "white space" in "".join(said):
            right.append(name)
    others = [*(name for name in arguments if name not in right), *([] if _trained(folder, vectors) else ["train"])]
    return Finding(f"wrong: {', '.join(others)}" if others else f"warned by {', '.join(right)}, train", not others)


def _trained(folder: Path, vectors: Path) -> bool:
    """Whether a run takes the terms over, with a warning."""
    from tests.helpers import tiny_run

    settings = tiny_run.settings({}, folder / "run", phase="skip_gram", images="", vectors=str(vectors))
    with messages() as said:
        tiny_run.start_run(settings)
    return "white space" in "".join(said) and load_vectors(folder / "run" / "vectors.bin")[0] == TERMS


@case("V02", "fastText's `.bin`", "it is read")
def model_of_fasttext(folder: Path) -> Finding:
    matrix = np.random.default_rng(0).normal(size=(len(TERMS) + 13, 5)).astype(np.float32)
    path = write(folder / "wiki.bin", fasttext_file(TERMS, matrix, 13))
    terms, vectors = load_vectors(path)
    right = terms == TERMS and np.allclose(vectors, fasttext_vectors(TERMS, matrix, 13), atol=1e-6)
    return Finding(f"{len(terms)} terms; nearest: {_nearest(path)}", right)


@case("V02c", "`glove.6B.zip`, `.tar.gz`", "read; of several files one is to be named")
def archives(folder: Path) -> Finding:
    save_vectors(folder / "a.txt", TERMS, VECTORS, "glove")
    data = (folder / "a.txt").read_bytes()
    for name, members in (("one.zip", ["a.txt"]), ("glove.6B.zip", ["glove.50d.txt", "glove.100d.txt"])):
        with zipfile.ZipFile(folder / name, "w") as archive:
            for member in members:
                archive.writestr(member, data)
    with tarfile.open(folder / "one.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("a.txt")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    several = error_of(load_vectors, folder / "glove.6B.zip")
    paths = ["one.zip", "one.tar.gz", "glove.6B.zip!glove.100d.txt"]
    right = [name for name in paths if load_vectors(f"{folder}/{name}")[0] == TERMS]
    text = f"read: {', '.join(right)}; else: {several.partition('. Received')[0]}"
    return Finding(text, right == paths and "glove.50d.txt, glove.100d.txt. Name one" in several)


@case("V03", "the head says one row more than there is", "a warning")
def wrong_head(folder: Path) -> Finding:
    right = 0
    for form in ("word2vec_text", "word2vec_binary"):
        save_vectors(folder / form, TERMS, VECTORS, form)
        data = (folder / form).read_bytes()
        write(folder / form, data.replace(b"5 6", b"6 6", 1))
        with messages() as said:
            terms, vectors = load_vectors(folder / form)
        right += terms == TERMS and np.allclose(vectors, VECTORS) and len(said) == 1
    return Finding(f"{right} of 2 forms are read; {' '.join(said)}", right == 2)


@case("V05", "a term cut within a character by word2vec's C", "that row is left out with a warning")
def term_cut_within_a_character(folder: Path) -> Finding:
    names = [TERMS[0].encode(), "été".encode()[:-1], *(term.encode() for term in TERMS[2:])]
    rows = b"".join(name + b" " + row.tobytes() + b"\n" for name, row in zip(names, VECTORS, strict=True))
    path = write(folder / "vectors.bin", b"5 6\n" + rows)
    with messages() as said:
        terms, vectors = load_vectors(path)
    right = terms == [TERMS[0], *TERMS[2:]] and np.array_equal(vectors, VECTORS[[0, 2, 3, 4]])
    return Finding(f"{len(terms)} of 5 terms; {' '.join(said)}", right and len(said) == 1)


@case("C01", "wiki40b's markers in a plain file", "line ends")
def markers_in_a_plain_file(folder: Path) -> Finding:
    document = (
        "\n_START_ARTICLE_\nSnow leopard\n_START_SECTION_\nRange\n_START_PARAGRAPH_\nIt is rare._NEWLINE_It is shy."
    )
    corpus = Corpus(str(write(folder / "wiki.txt", document * 3)))
    terms = Vocabulary.build(corpus, min_count=1).terms
    markers = [term for term in terms if term in ("start", "article", "section", "paragraph", "newline")]
    lines = list(corpus.lines())
    text = f"{len(lines)} lines, terms {', '.join(terms[:5])}"
    return Finding(text, not markers and lines == ["Snow leopard", "Range", "It is rare.", "It is shy."] * 3)
