"""What `python -m devise_tf.vectors` does, a function a command: each takes its arguments and the flags' values."""

import json
import os
import sys

from absl import flags

from devise_tf.choices import NPZ_FORMS
from devise_tf.files import atomic_write
from devise_tf.labels.coverage import label_coverage
from devise_tf.labels.open_labels import open_descriptions, open_hierarchy, open_labels
from devise_tf.labels.text_lines import read_lines
from devise_tf.labels.word_space import WordSpace
from devise_tf.model_dir import Entry, ModelDir
from devise_tf.text.convert_vectors import convert_vectors, form_of, needed_terms
from devise_tf.text.joined_vectors import load_joined_vectors, term_shares
from devise_tf.text.term_index import TermIndex, index_rows
from devise_tf.text.term_vectors import TermVectors
from devise_tf.text.vector_file import load_terms, load_vectors, save_vectors
from devise_tf.text.vector_tokenizer import keep_tokenizer, load_tokenizer
from devise_tf.text.vocabulary import Vocabulary
from devise_tf.vector_inputs import find_source, label_columns, load_labels, load_source, named_labels, progress_line

_PROJECTOR_TERMS = 10_000


def nearest(terms: list[str], values: flags.FlagValues) -> None:
    vectors = load_source(values)
    for term in terms:
        _print_terms(f"{term} ({_origin(vectors, term)})", vectors.nearest(term, values.k, values.restrict))


def similarity(terms: list[str], values: flags.FlagValues) -> None:
    vectors = load_source(values)
    for term in terms:
        print(f"{term} ({_origin(vectors, term)})")
    print(f"cosine {vectors.similarity(*terms):.3f}")


def analogy(terms: list[str], values: flags.FlagValues) -> None:
    a, b, c = terms
    _print_terms(f"{a} is to {b} as {c} is to", load_source(values).analogy(a, b, c, values.k, values.restrict))


def evaluate(_: list[str], values: flags.FlagValues) -> None:
    from devise_tf.text.word_benchmarks import benchmark_folder, benchmark_table, evaluate_vectors  # brings SciPy

    folder = benchmark_folder(values.benchmarks)  # what is missing is better known before a minute of reading
    source, restrict = find_source(values.vectors, values.model_dir), values.restrict or 300_000
    vectors = load_source(values)
    results = evaluate_vectors(vectors, folder, restrict, progress_line("Analogies"))
    print(benchmark_table(results))
    if values.output:
        size = {"terms": len(vectors), "dimension": vectors.vectors.shape[1], "restrict": restrict}
        _write_json(values.output, {"vectors": source, **size, **results})


def coverage(_: list[str], values: flags.FlagValues) -> None:
    labels = load_labels(values)
    source = find_source(values.vectors, values.model_dir)
    tokenizer = load_tokenizer(source)
    wanted = labels.term_filter(tokenizer)
    vectors = load_vectors(source, None, wanted, progress_line("Reading"), values.max_bad_rows)
    result = label_coverage(labels, TermIndex(index_rows(vectors[0]), tokenizer))
    print(result.table())
    if result.missing:
        names = [f"{label} ({labels.terms[labels.index[label]][0]})" for label in result.missing[:10]]
        print(f"Missing: {', '.join(names)}{', …' if len(result.missing) > 10 else ''}")
    if values.output:
        _write_json(values.output, vars(result))


def convert(paths: list[str], values: flags.FlagValues) -> None:
    source, target = paths
    form = form_of(target, values.format)
    counts = _counts(source) if form in NPZ_FORMS else None
    source = find_source(None, source) if os.path.isdir(source) else find_source(source, None)
    chosen = _chosen_terms(source, values)
    count, dimension = convert_vectors(
        source, target, form, chosen, counts, progress_line("Reading"), values.max_bad_rows
    )
    size = os.path.getsize(target) / 1e6
    print(f"{target}: {count} terms, dimension {dimension}, {form}, {size:.3g} MB")


def describe(paths: list[str], values: flags.FlagValues) -> None:
    from devise_tf.labels.described_vectors import describe_labels

    if not values.descriptions or bool(values.hierarchy) != bool(values.names):
        raise ValueError(
            "describe needs --descriptions, and --names (the names of a hierarchy's ids) with --hierarchy. Received: "
            f"descriptions={values.descriptions}, hierarchy={values.hierarchy}, names={values.names}"
        )
    form = form_of(paths[0], values.format)
    descriptions = open_descriptions(values.descriptions)
    # Several files of one space, whose terms describe labels together.
    named = [name.strip() for name in (values.vectors or "").split(",")]
    sources = [find_source(name or None, values.model_dir) for name in named]
    terms, vectors = load_joined_vectors(sources)
    tokenizer = load_tokenizer(sources[0])
    words = WordSpace(terms, vectors, tokenizer=tokenizer)
    hierarchy = open_hierarchy(values.hierarchy) if values.hierarchy else None
    kinds = open_labels(values.names, "names") if values.names else None
    called, vectors, unknown = describe_labels(words, term_shares(sources, terms), descriptions, hierarchy, kinds)
    if unknown:
        print(f"{len(unknown)} labels have no known word and are left out: {', '.join(unknown[:20])}", file=sys.stderr)
    save_vectors(paths[0], called, vectors, form)
    keep_tokenizer(sources[0], paths[0])
    described = len(descriptions) - len(unknown)
    print(f"{paths[0]}: {len(called)} names of {described} described labels and of those above them, {form}")


def _counts(source: str) -> dict[str, int] | None:
    """The counts of the terms of a model directory."""
    run = ModelDir(source)
    if not run.has(Entry.VOCABULARY):
        return None
    vocabulary = Vocabulary.load(run.path(Entry.VOCABULARY))
    return dict(zip(vocabulary.terms, vocabulary.counts.tolist(), strict=True))


def _chosen_terms(source: str, values: flags.FlagValues) -> list[str] | None:
    """The terms that flags choose, None for all; says how many of those that are named have a vector."""
    if values.terms and values.labels_file:
        raise ValueError("Give --terms or --labels_file, not both. Received: --terms, --labels_file")
    names: list[list[str]] | None = None
    if values.terms:
        lines = (line.split("\t")[0].strip() for _, line in read_lines(values.terms))
        names = [[line] for line in lines]
    elif values.labels_file:
        names = load_labels(values).terms
    if names is None and not values.limit:
        return None
    known_terms = load_terms(source, None, progress_line("Reading terms"), values.max_bad_rows)
    tokenizer = load_tokenizer(source)
    chosen = needed_terms(names or [], known_terms, values.limit, tokenizer)
    if not chosen:
        raise ValueError(f"None of the named terms has a vector. Received: {(names or [])[:5]}")
    if names is not None:
        index = TermIndex(index_rows(chosen), tokenizer)
        known = sum(bool(index.first(spellings).rows) for spellings in names)
        print(f"{known} of {len(names)} {'terms' if values.terms else 'labels'} have a vector there.")
    return chosen


def projector(_: list[str], values: flags.FlagValues) -> None:
    from devise_tf.evaluation.report.projector import export_projector

    output = _output(values, "a directory")
    labels = named_labels(values)
    if labels is None:
        vectors = load_source(values)
        count = values.limit or _PROJECTOR_TERMS
        columns, matrix, name = {"term": vectors.terms[:count]}, vectors.vectors[:count], "term_vectors"
    else:
        if values.limit:
            raise ValueError(f"Give --labels_file or --limit, not both. Received: --limit={values.limit}")
        label_vectors, columns = label_columns(labels, values)
        matrix, name = label_vectors.values, "label_vectors"
    export_projector(output, matrix, columns, name)
    print(f"{output}: {len(matrix)} vectors. Look at them with: tensorboard --logdir={output}")


def plot(_: list[str], values: flags.FlagValues) -> None:
    from devise_tf.evaluation.report.plots import check_plots, plot_label_vectors

    check_plots()
    output = _output(values, "a .png file")
    if not output.lower().endswith(".png"):
        raise ValueError(f"--output must name a .png file. Received: {output}")
    label_vectors, columns = label_columns(load_labels(values), values)
    if "group" not in columns:
        raise ValueError("Colors come from a hierarchy: give --hierarchy=FILE or --hierarchy=wordnet. Received: none")
    count = len(label_vectors.ids)
    if count > 500:
        print(f"t-SNE of {count} label vectors takes a while: minutes for thousands.", file=sys.stderr)
    title = f"{count} label vectors, t-SNE"
    plot_label_vectors(output, label_vectors.values, columns["term"], columns["group"], values.seed, title=title)
    print(f"{output}: {count} label vectors in {len(set(columns['group']))} groups")


def _origin(vectors: TermVectors, term: str) -> str:
    rows = [vectors.terms[row] for row in vectors.rows(term)]
    return rows[0] if len(rows) == 1 else f"composed of {' + '.join(rows)}"


def _print_terms(head: str, terms: list[tuple[str, float]]) -> None:
    width = max((len(term) for term, _ in terms), default=0)
    print("\n".join([head, *(f"  {term:<{width}}  {cosine:6.3f}" for term, cosine in terms)]))


def _output(values: flags.FlagValues, what: str) -> str:
    if not values.output:
        raise ValueError(f"Name {what} to write with --output. Received: none")
    return os.path.expanduser(values.output)


def _write_json(path: str, value: dict) -> None:
    with atomic_write(os.path.expanduser(path)) as file:
        file.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())
