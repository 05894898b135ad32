"""Asks term vectors, measures them, converts them, and shows those of labels.

  python -m devise_tf.vectors COMMAND … [flags]

The vectors: --vectors=FILE (word2vec text or binary, GloVe, fastText's .vec, .npz; gzip and xz too, but for .npz), or
--model_dir=DIR of a run, or --vectors=NAME of vectors that come with the package, which is also the default. Terms are
taken in any spelling; several words of one term go in quotes, and are composed where the term is not found whole.

  nearest TERM…        python -m devise_tf.vectors nearest "snow leopard" tiger --k=5
  similarity A B       python -m devise_tf.vectors similarity cat dog
  analogy A B C        A is to B as C is to what:
                       python -m devise_tf.vectors analogy man king woman
  evaluate             WordSim-353, SimLex-999 and the Google analogies, in a table and a file:
                       python -m devise_tf.vectors evaluate --vectors=vectors.bin --output=metrics.json
  coverage             how many labels are found whole, composed from words, or missing:
                       python -m devise_tf.vectors coverage --labels=labels.txt
  convert IN OUT       the form follows the suffix (.bin, .txt, .vec, .glove, .npz) or --format; IN is a file, a name
                       or a model directory; --labels or --terms keeps what these need, --limit the most frequent:
                       python -m devise_tf.vectors convert vectors.bin small.npz --labels=labels.txt --limit=20000
  projector            files for TensorBoard's projector, of labels or, without --labels, of the first --limit terms:
                       python -m devise_tf.vectors projector --labels=labels.txt --hierarchy=wordnet --output=projector
  plot                 a t-SNE picture of label vectors coloured by their hierarchy:
                       python -m devise_tf.vectors plot --labels=labels.txt --hierarchy=wordnet --output=labels.png
"""

import json
import os
import sys
import time
from collections.abc import Callable

from absl import app, flags, logging

_SHARED = {"vectors", "model_dir"}
_PROJECTOR_TERMS = 10_000


def define_flags() -> None:
    flags.DEFINE_string("vectors", None, "Vector file, or the name of vectors that come with the package.")
    flags.DEFINE_string("model_dir", None, "Model directory of a run, in place of --vectors; it has labels too.")
    flags.DEFINE_integer("k", 10, "nearest, analogy: number of terms to show.", lower_bound=1)
    flags.DEFINE_integer(
        "restrict", None, "nearest, analogy, evaluate: look at the first (most frequent) terms only.", lower_bound=1
    )
    flags.DEFINE_string("benchmarks", "", "evaluate: folder of the benchmarks' files; gensim's by default.")
    flags.DEFINE_string("output", None, "File (evaluate, plot) or directory (projector) to write.")
    flags.DEFINE_enum(
        "format", None, ["word2vec_text", "word2vec_binary", "glove", "npz"], "convert: the form to write."
    )
    flags.DEFINE_string("terms", None, "convert: file of the terms to keep, one a line.")
    flags.DEFINE_integer("limit", None, "convert, projector: largest number of terms.", lower_bound=1)
    flags.DEFINE_string("labels", None, "File of labels, a line each: `id<TAB>term, term`.")
    flags.DEFINE_string("hierarchy", None, "plot, projector: a file of `parent child` lines, wordnet, or wordnet:DIR.")
    flags.DEFINE_string("names", None, "plot, projector: file like --labels that names the hierarchy's upper ids.")
    flags.DEFINE_integer("groups", 12, "plot, projector: largest number of groups.", lower_bound=2, upper_bound=12)
    flags.DEFINE_integer("seed", 0, "plot: seed of t-SNE.", lower_bound=0)


def find_source(vectors: str | None, model_dir: str | None) -> str:
    """The path of the vectors that are meant: of a file, a model directory, or the package.

    Raises:
        ValueError: both are given, or nothing is and the package has no vectors or several.
        FileNotFoundError: what is named is not there.
    """
    from devise_tf.packaged import packaged_files
    from devise_tf.text.packaged_vectors import find_vectors

    if vectors and model_dir:
        raise ValueError(f"Give --vectors or --model_dir, not both. Received: {vectors=}, {model_dir=}")
    if model_dir:
        path = os.path.join(os.path.expanduser(model_dir), "vectors.bin")
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f"The model directory holds no vectors.bin: its phase 1 has not finished. Received: {model_dir=}"
            )
        return path
    if vectors:
        return find_vectors(vectors)
    packaged = packaged_files("vectors")
    if len(packaged) != 1:
        raise ValueError(
            f"Name the vectors with --vectors=FILE, --vectors=NAME or --model_dir=DIR. The package comes with "
            f"{', '.join(packaged) or 'none'}. Received: none of the three"
        )
    return next(iter(packaged.values()))


def nearest(terms: list[str]) -> None:
    vectors = _load()
    for term in terms:
        found = vectors.nearest(term, flags.FLAGS.k, flags.FLAGS.restrict)
        _print_terms(f"{term} ({_how(vectors, term)})", found)


def similarity(terms: list[str]) -> None:
    vectors = _load()
    for term in terms:
        print(f"{term} ({_how(vectors, term)})")
    print(f"cosine {vectors.similarity(*terms):.3f}")


def analogy(terms: list[str]) -> None:
    a, b, c = terms
    _print_terms(f"{a} is to {b} as {c} is to", _load().analogy(a, b, c, flags.FLAGS.k, flags.FLAGS.restrict))


def evaluate(_: list[str]) -> None:
    from devise_tf.text.word_benchmarks import benchmark_folder, benchmark_table, evaluate_vectors

    folder = benchmark_folder(flags.FLAGS.benchmarks)  # what is missing is better known before a minute of reading
    source, restrict = find_source(flags.FLAGS.vectors, flags.FLAGS.model_dir), flags.FLAGS.restrict or 300_000
    vectors = _load(source)
    results = evaluate_vectors(vectors, folder, restrict, _progress("Analogies"))
    print(benchmark_table(results))
    if flags.FLAGS.output:
        size = {"terms": len(vectors), "dimension": vectors.vectors.shape[1], "restrict": restrict}
        _write_json(flags.FLAGS.output, {"vectors": source, **size, **results})


def coverage(_: list[str]) -> None:
    from devise_tf.labels.coverage import label_coverage
    from devise_tf.text.vector_file import load_terms

    labels = _labels(required=True)
    source = find_source(flags.FLAGS.vectors, flags.FLAGS.model_dir)
    found = label_coverage(labels, load_terms(source, progress=_progress("Reading")))
    print(found.table())
    if found.missing:
        named = [f"{label} ({labels.terms[labels.index[label]][0]})" for label in found.missing[:10]]
        print(f"Missing: {', '.join(named)}{', …' if len(found.missing) > 10 else ''}")
    if flags.FLAGS.output:
        _write_json(flags.FLAGS.output, vars(found))


def convert(paths: list[str]) -> None:
    from devise_tf.labels.label_set import read_lines
    from devise_tf.text.convert_vectors import convert_vectors, form_of, needed_terms
    from devise_tf.text.tokenizer import normalize_term
    from devise_tf.text.vector_file import load_terms
    from devise_tf.text.vocabulary import Vocabulary

    source, target = paths
    form, counts = form_of(target, flags.FLAGS.format), None
    if os.path.isdir(source):
        vocabulary = os.path.join(source, "vocabulary.txt")
        if form == "npz" and os.path.isfile(vocabulary):
            loaded = Vocabulary.load(vocabulary)
            counts = dict(zip(loaded.terms, loaded.counts.tolist(), strict=True))
        source = find_source(None, source)
    else:
        source = find_source(source, None)
    if flags.FLAGS.terms and flags.FLAGS.labels:
        raise ValueError("Give --terms or --labels, not both. Received: --terms, --labels")
    names, chosen = None, None
    if flags.FLAGS.terms:
        lines = (line.split("\t")[0].strip() for _, line in read_lines(flags.FLAGS.terms))
        names = [list(dict.fromkeys(["_".join(line.split()), normalize_term(line)])) for line in lines]
    elif flags.FLAGS.labels:
        names = _labels(required=True).normalized_terms()
    if names is not None or flags.FLAGS.limit:
        known = load_terms(source, progress=_progress("Reading terms"))
        chosen = needed_terms(names or [], known, flags.FLAGS.limit)
        if not chosen:
            raise ValueError(f"No term that is asked for has a vector. Received: {names[:5]}")
    if names is not None:
        kept = set(chosen)
        found = [any(n in kept or kept.issuperset(n.split("_")) for n in its_names) for its_names in names]
        print(f"{sum(found)} of {len(found)} {'terms' if flags.FLAGS.terms else 'labels'} have a vector there.")
    number, dimension = convert_vectors(source, target, form, chosen, counts, _progress("Reading"))
    size = os.path.getsize(target) / 1e6
    print(f"{target}: {number} terms, dimension {dimension}, {form}, {size:.3g} MB")


def projector(_: list[str]) -> None:
    from devise_tf.evaluation.report.projector import export_projector

    output = _output("a directory")
    labels = _labels(required=False)
    if labels is None:
        vectors = _load()
        count = flags.FLAGS.limit or _PROJECTOR_TERMS
        columns, matrix, name = {"term": vectors.terms[:count]}, vectors.vectors[:count], "term_vectors"
    else:
        if flags.FLAGS.limit:
            raise ValueError(f"Give --labels or --limit, not both. Received: --limit={flags.FLAGS.limit}")
        found, columns = _label_vectors(labels)
        matrix, name = found.vectors, "label_vectors"
    export_projector(output, matrix, columns, name)
    print(f"{output}: {len(matrix)} vectors. Look at them with: tensorboard --logdir={output}")


def plot(_: list[str]) -> None:
    from devise_tf.evaluation.report.plots import check_plots, plot_label_vectors

    check_plots()
    output = _output("a .png file")
    if not output.lower().endswith(".png"):
        raise ValueError(f"--output must name a .png file. Received: {output}")
    found, columns = _label_vectors(_labels(required=True))
    if "group" not in columns:
        raise ValueError("Colours come from a hierarchy: give --hierarchy=FILE or --hierarchy=wordnet. Received: none")
    if len(found.ids) > 500:
        print(f"t-SNE of {len(found.ids)} label vectors takes a while: minutes for thousands.", file=sys.stderr)
    title = f"{len(found.ids)} label vectors, t-SNE"
    plot_label_vectors(output, found.vectors, columns["term"], columns["group"], flags.FLAGS.seed, title=title)
    print(f"{output}: {len(found.ids)} label vectors in {len(set(columns['group']))} groups")


def _load(source: str | None = None):
    from devise_tf.text.term_vectors import TermVectors

    source = source or find_source(flags.FLAGS.vectors, flags.FLAGS.model_dir)
    return TermVectors.load(source, progress=_progress("Reading"))


def _model_dir_file(name: str) -> str | None:
    path = os.path.join(os.path.expanduser(flags.FLAGS.model_dir or ""), name)
    return path if flags.FLAGS.model_dir and os.path.isfile(path) else None


def _labels(required: bool):
    """The labels of --labels or of the model directory."""
    from devise_tf.labels.label_set import LabelSet

    path = flags.FLAGS.labels or (None if flags.FLAGS.limit else _model_dir_file("labels.txt"))
    if path:
        return LabelSet.load(os.path.expanduser(path))
    if required:
        raise ValueError("This needs the labels: --labels=FILE, or a --model_dir that has them. Received: none")
    return None


def _label_vectors(labels):
    """The vectors of the labels that have one, and columns of text about these."""
    from devise_tf.evaluation.report.label_groups import group_names, label_groups, top_ancestors
    from devise_tf.labels.hierarchy import Hierarchy
    from devise_tf.labels.label_set import LabelSet
    from devise_tf.labels.label_vectors import make_label_vectors
    from devise_tf.labels.wordnet_names import wordnet_names

    vectors = _load()
    found = make_label_vectors(labels, vectors.terms, vectors.vectors, missing="drop")
    if found.missing:
        print(f"{len(found.missing)} of {len(labels)} labels have no vector and are left out.", file=sys.stderr)
    columns = {"term": [labels.terms[labels.index[label]][0] for label in found.ids], "label": found.ids}
    source = flags.FLAGS.hierarchy or _model_dir_file("hierarchy.txt")
    if source:
        kind, _, folder = source.partition(":")
        hierarchy = Hierarchy.open(os.path.expanduser(source))
        if not any(label in hierarchy for label in found.ids):
            raise ValueError(f"None of the labels is in the hierarchy. Received: {found.ids[:5]}, hierarchy={source}")
        # Synsets are named by WordNet, where it is installed; what is named by a file goes before.
        names = wordnet_names(folder if kind == "wordnet" and folder else None)
        named = [labels] + ([LabelSet.load(flags.FLAGS.names)] if flags.FLAGS.names else [])
        for label_set in named:
            names |= {label: terms[0] for label, terms in zip(label_set.ids, label_set.terms, strict=True)}
        groups = group_names(label_groups(found.ids, hierarchy, flags.FLAGS.groups), names)
        above = top_ancestors(found.ids, hierarchy)
        columns["group"] = [groups[label] for label in found.ids]
        for level in range(3):
            columns[f"ancestor {level + 1}"] = [
                names.get(above[label][level], above[label][level]) for label in found.ids
            ]
    return found, columns


def _how(vectors, term: str) -> str:
    rows = [vectors.terms[row] for row in vectors.rows(term)]
    return rows[0] if len(rows) == 1 else f"composed of {' + '.join(rows)}"


def _print_terms(head: str, found: list[tuple[str, float]]) -> None:
    width = max((len(term) for term, _ in found), default=0)
    print("\n".join([head, *(f"  {term:<{width}}  {cosine:6.3f}" for term, cosine in found)]))


def _output(what: str) -> str:
    if not flags.FLAGS.output:
        raise ValueError(f"Name {what} to write with --output. Received: none")
    return os.path.expanduser(flags.FLAGS.output)


def _write_json(path: str, value: dict) -> None:
    from devise_tf.files import atomic_write

    with atomic_write(os.path.expanduser(path)) as file:
        file.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def _progress(what: str) -> Callable[[int, int], None]:
    """A line that shows how far something is, once it takes more than three seconds."""
    start = shown = time.monotonic()
    finished = False

    def show(done: int, total: int) -> None:
        nonlocal shown, finished
        now = time.monotonic()
        # A compressed or buffered file is read to its end before its last rows are.
        if not finished and now - start > 3 and (now - shown > 1 or done >= total):
            shown, finished = now, done >= total
            print(f"\r{what}: {done / max(total, 1):4.0%}", end="\n" if finished else "", file=sys.stderr, flush=True)

    return show


# Each command with the number of its arguments (-1: one or more) and the flags that it takes beside _SHARED.
_COMMANDS = {
    "nearest": (nearest, -1, {"k", "restrict"}),
    "similarity": (similarity, 2, set()),
    "analogy": (analogy, 3, {"k", "restrict"}),
    "evaluate": (evaluate, 0, {"restrict", "benchmarks", "output"}),
    "coverage": (coverage, 0, {"labels", "output"}),
    "convert": (convert, 2, {"format", "terms", "labels", "limit"}),
    "projector": (projector, 0, {"labels", "hierarchy", "names", "groups", "limit", "output"}),
    "plot": (plot, 0, {"labels", "hierarchy", "names", "groups", "seed", "output"}),
}


def main(argv: list[str]) -> None:
    command, *arguments = argv[1:] or [""]
    if command not in _COMMANDS:
        raise ValueError(
            f"The first argument must be one of {', '.join(_COMMANDS)}; --help shows an example of each. "
            f"Received: {command!r}"
        )
    function, count, own = _COMMANDS[command]
    if len(arguments) != count if count >= 0 else not arguments:
        expected = f"{count} arguments" if count >= 0 else "an argument or more"
        raise ValueError(f"{command} takes {expected}; put a term of several words in quotes. Received: {arguments}")
    known = {name for _, _, names in _COMMANDS.values() for name in names} | _SHARED
    taken = own | (_SHARED if command != "convert" else set())
    strange = [name for name in sorted(known - taken) if flags.FLAGS[name].present]
    if strange:
        raise ValueError(
            f"{command} takes {', '.join(f'--{name}' for name in sorted(taken))} only. "
            f"Received: {', '.join(f'--{name}' for name in strange)}"
        )
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    function(arguments)


def run() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    define_flags()
    try:
        app.run(main)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    run()
