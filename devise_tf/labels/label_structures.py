"""Lists of labels in JSON, YAML or Python: as models, data sets and tutorials have them."""

import ast
import collections
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from devise_tf.labels.label_rows import SYNSET, Cells, LabelRows, Row, rows_of_lines, rows_of_table, split_terms

# A list of a million labels is smaller; a parser takes many times its text's size.
_MOST_CHARACTERS = 2**26
# Where a file that holds more than labels, such as a model's settings, has them.
_KEYS = ("id2label", "label2id", "names", "categories", "classes", "class_names", "labels")
_PYTHON = re.compile(r"(?:\s*#.*\n)*\s*\w+\s*(?::[^=\n]*)?=\s*[\[{(]")


def is_structure(path: str | os.PathLike, text: str) -> bool:
    """Whether a file is in JSON, YAML or Python, by its ending and its first characters."""
    ending = os.path.splitext(path)[1].lower()
    return ending in _READERS or text.lstrip()[:1] in ("{", "[") or _PYTHON.match(text) is not None


def rows_of_structure(path: str | os.PathLike, text: str) -> LabelRows:
    """Rows of a list or mapping, which is read as data: nothing of it is run.

    Raises:
        ValueError: The file is too large, it cannot be parsed, or what it holds is no list of labels.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(
            f"{path} is too large for a list of labels that is not plain text: it may have {_MOST_CHARACTERS} "
            f"characters at most. Received: {len(text)} characters"
        )
    form, rows, _ = _rows(path, *_parsed(path, text))
    return LabelRows(form, [_composed(row) for row in rows], unit="entry")


def _composed(row: Row) -> Row:
    """The row in Unicode's composed form, as the text is: an escape such as `\\u0301` writes an accent apart."""
    label, terms = row.label, [unicodedata.normalize("NFC", term) for term in row.terms]
    return row._replace(label=None if label is None else unicodedata.normalize("NFC", label), terms=terms)


class _RepeatedKey(ValueError):
    """A key stands twice in a mapping; parsers would take the last one."""


def _parsed(path: str | os.PathLike, text: str) -> tuple[str, Any]:
    problems = []
    for name, read in _READERS.get(os.path.splitext(path)[1].lower(), (("JSON", _json), ("Python", _python))):
        try:
            return name, read(text)
        except _RepeatedKey as error:
            raise ValueError(
                f"{path} cannot be read: a key stands twice in one mapping; give each key once. Received: {error}"
            ) from error
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            problems.append(f"not {name} ({' '.join(str(error).split()) or type(error).__name__})")
    raise ValueError(f"{path} cannot be read: it is {'; '.join(problems)}. Received: {text.strip()[:60]!r}")


def _check_keys(keys: Iterable[Any]) -> None:
    repeated = [key for key, count in collections.Counter(keys).items() if count > 1]
    if repeated:
        raise _RepeatedKey(f"{', '.join(map(repr, repeated[:10]))}{', …' if len(repeated) > 10 else ''}")


def _json(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _check_keys(key for key, _ in pairs)
        return dict(pairs)

    return json.loads(text, object_pairs_hook=once)


def _python(text: str) -> Any:
    """The value of a file that is one literal, or of the first list or mapping that it assigns to a name."""
    for node in ast.parse(text.strip()).body:
        value = getattr(node, "value", None)
        if isinstance(value, (ast.Dict, ast.List, ast.Tuple)):
            result = ast.literal_eval(value)
            for inner in ast.walk(value):
                if isinstance(inner, ast.Dict):
                    _check_keys(ast.literal_eval(key) for key in inner.keys if key is not None)
            return result
    raise ValueError("it holds no list and no mapping")


def _yaml(text: str) -> Any:
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        for keys in _keys_of_mappings(root):
            # A mapping may replace what `<<` brings into it.
            _check_keys(loader.construct_object(key) for key in keys if key.tag != "tag:yaml.org,2002:merge")
        return None if root is None else loader.construct_document(root)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    finally:
        loader.dispose()


def _keys_of_mappings(root: Any) -> Iterator[list[Any]]:
    """The scalar keys of each mapping below a node of PyYAML's."""
    nodes, remaining = {}, [root]
    while remaining:
        node = remaining.pop()
        if id(node) in nodes:
            continue
        nodes[id(node)] = node
        if getattr(node, "id", "") == "mapping":
            yield [key for key, _ in node.value if key.id == "scalar"]
            remaining += [value for _, value in node.value]
        elif getattr(node, "id", "") == "sequence":
            remaining += node.value


_READERS: dict[str, tuple[tuple[str, Callable[[str], Any]], ...]] = {
    ".json": (("JSON", _json),),
    ".yaml": (("YAML", _yaml),),
    ".yml": (("YAML", _yaml),),
    ".py": (("Python", _python),),
}


def _rows(path: str | os.PathLike, name: str, value: Any) -> LabelRows:
    if isinstance(value, Mapping):
        key = next((key for key in _KEYS if isinstance(value.get(key), (Mapping, list, tuple))), None)
        if key is not None:
            inside = value[key]
            if key == "label2id" and isinstance(inside, Mapping):
                inside = list(inside)
            return _rows(path, f"{name}, {key!r} of it", inside)
        return _of_mapping(path, name, value)
    if isinstance(value, (list, tuple)):
        return _of_list(path, name, value)
    raise _no_labels(path, name, value)


def _of_mapping(path: str | os.PathLike, name: str, value: Mapping[Any, Any]) -> LabelRows:
    """Numbers or ids, each with terms; or names, each with its number."""
    entries = list(enumerate(value.items(), 1))
    if entries and all(isinstance(item, int) for item in value.values()):
        return _named(f"{name}, a mapping from terms to numbers", rows_of_lines([(n, str(k)) for n, (k, _) in entries]))
    numbered = all(str(key).isdecimal() for key in value)
    if entries and all(isinstance(item, Mapping) for item in value.values()):
        return _of_list(path, name, [item if numbered else {"id": key, **item} for key, item in value.items()])
    rows = []
    for position, (key, item) in entries:
        label, terms = _label_and_terms(path, name, item)
        rows.append(Row(position, f"{key}: {item}", label if numbered else str(key), terms))
    return LabelRows(f"{name}, a mapping from {'numbers' if numbered else 'ids'} to terms", rows)


def _label_and_terms(path: str | os.PathLike, name: str, item: Any) -> tuple[str | None, list[str]]:
    """The terms of a text or of a list of texts, whose first one may be a synset id."""
    if isinstance(item, str):
        return None, split_terms(item)
    if not (isinstance(item, (list, tuple)) and all(isinstance(text, str) for text in item)):
        raise _no_labels(path, name, item)
    if len(item) > 1 and SYNSET.fullmatch(item[0]):
        return item[0], list(item[1:])
    return None, list(item)


def _of_list(path: str | os.PathLike, name: str, value: Iterable[Any]) -> LabelRows:
    """Texts, lists of cells, or mappings from names of columns to cells."""
    items = list(value)
    if all(isinstance(item, str) for item in items):
        lines = [(position, text) for position, text in enumerate(items, 1) if text.strip()]
        return _named(f"{name}, a list of texts", rows_of_lines(lines))
    if all(isinstance(item, Mapping) for item in items):
        names = list(dict.fromkeys(str(key) for item in items for key in item))
        table = [names, *([_cell(path, name, item.get(key)) for key in names] for item in items)]
    elif all(isinstance(item, (list, tuple)) for item in items):
        table = [[_cell(path, name, cell) for cell in item] for item in items]
    else:
        raise _no_labels(path, name, items[:3])
    cells = [Cells(position, row, row) for position, row in enumerate(table, 1)]
    return _named(f"{name}, a table", rows_of_table(cells))


def _cell(path: str | os.PathLike, name: str, value: Any) -> str:
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if not isinstance(value, (str, int, float, type(None))):
        raise _no_labels(path, name, value)
    return "" if value is None else str(value)


def _named(form: str, rows: LabelRows) -> LabelRows:
    return LabelRows(f"{form} ({rows.form})" if "column" in rows.form else form, rows.rows)


def _no_labels(path: str | os.PathLike, name: str, value: Any) -> ValueError:
    return ValueError(
        f"{path} holds {name} that is no list of labels: expected texts, a mapping from numbers or ids to terms, or a "
        f"table with a column of terms. Received: {str(value)[:100]!r}"
    )
