"""The house holds: who imports whom, as BUILD.md's table says; how large files and functions may be."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES, MAX_ARGUMENTS = 300, 8
FUNCTION_LEVEL_IMPORTS = 60  # of the package, for --help without TensorFlow and for optional packages

# A string that is the name of a module or the path of a file: an import in disguise.
HIDDEN = re.compile(r"(?P<module>devise_tf(\.\w+)+\.?)|(?P<path>(devise_tf/)?(models|export)/\w[\w./-]*)")


@cache
def modules() -> dict[str, Path]:
    """The package's modules: paths by name."""
    result = {}
    for folder in ("devise_tf", "models", "export"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[1:2] in (("models",), ("export",)) and folder == "devise_tf":
                continue  # a link
            parts = parts if folder == "devise_tf" else ("devise_tf", *parts)
            result[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return result


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def table() -> dict[str, set[str]]:
    """BUILD.md's table: for each room, all rooms that it may import."""
    section = (ROOT / "BUILD.md").read_text(encoding="utf-8").partition("## Layout")[2]
    rows: dict[str, set[str]] = {}
    for line in section.partition("```\n")[2].partition("```")[0].splitlines():
        rooms, _, named = line.partition("#")[0].partition("->")
        targets = set(named.replace(",", " ").split())
        assert targets <= set(rows), f"{line}\nleads to {sorted(targets - set(rows))}: below it, or not in the table"
        targets |= {further for target in targets for further in rows[target]}
        rows |= {room: targets for room in rooms.replace(",", " ").split()}
    return rows


def room_of(module: str) -> str | None:
    """The longest name of the table that a module lies in; None for the root, `devise_tf`."""
    parts = module.removeprefix("devise_tf").strip(".").split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in table()), None) if parts != [""] else None


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Modules of the package that a file imports, at any level and by any means, with the line."""
    tree = tree_of(path)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports by a relative name"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules() else str(node.module) for name in inside]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "devise_tf":
            names = [f"devise_tf.{node.attr}"] if f"devise_tf.{node.attr}" in modules() else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            match = HIDDEN.fullmatch(node.value)
            if match:
                names = [match["module"] or "devise_tf." + match["path"].removeprefix("devise_tf/").replace("/", ".")]
        for name in names:
            if name.split(".")[0] == "devise_tf" and modules().get(name) != path:  # a command may name itself
                yield name, node.lineno


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods, not those inside of functions, with their names."""
    for module, path in modules().items():
        for node in tree_of(path).body:
            for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{module}.{inner.name}", inner


def python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_every_module_has_a_row_and_every_row_a_module():
    rooms = {room_of(module) or module for module in modules() if module != "devise_tf"}
    assert rooms == set(table()), rooms ^ set(table())


def test_imports_follow_the_table():
    wrong = []
    for module, path in modules().items():
        room = room_of(module)
        for target, line in imported(path):
            target_room = room_of(target)
            if target_room not in (room, None, *table().get(room or "", ())):
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {room} -> {target_room} ({target})")
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other_in_a_circle():
    targets = {module: {name for name, _ in imported(path)} & set(modules()) for module, path in modules().items()}
    while True:
        done = {module for module, names in targets.items() if not names & set(targets)}
        if not done:
            break
        targets = {module: names for module, names in targets.items() if module not in done}
    assert not targets, f"These are in a circle, or import what is: {sorted(targets)}"


def test_functions_import_only_what_is_slow_or_optional():
    inside = [
        f"{name}:{inner.lineno}"
        for name, function in functions()
        for inner in ast.walk(function)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert len(inside) < FUNCTION_LEVEL_IMPORTS, "\n".join(inside)


@pytest.mark.parametrize("folder", ["devise_tf", "models", "export", "tests"])
def test_files_are_short(folder):
    long = {}
    for path in (ROOT / folder).rglob("*.py"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            long[path.relative_to(ROOT).as_posix()] = lines
    assert not long


def test_public_functions_have_few_arguments():
    many = {}
    for name, function in functions():
        arguments = function.args
        count = len([a for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs) if a.arg != "self"])
        is_kernel = name.startswith("devise_tf.training.engine.") or "skip_gram_kernels" in name
        if count > MAX_ARGUMENTS and not is_kernel and not function.name.startswith("_"):
            many[name] = count
    assert not many


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("layers", "tensorflow_datasets devise_tf.text devise_tf.labels devise_tf.images"),
        ("labels", "tensorflow keras devise_tf.images devise_tf.models"),
        ("text", "tensorflow keras"),
        ("model_dir", "tensorflow keras"),
        ("export.client", "tensorflow keras devise_tf.models"),
    ],
)
def test_import_loads_no_more_than_it_needs(module, unneeded):
    loaded = python(f"import sys, devise_tf.{module}; print(*sys.modules)").split()
    assert not set(unneeded.split()) & set(loaded)
