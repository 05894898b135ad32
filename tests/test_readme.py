"""What the documents say is true: snippets run, flags and files exist, flagfiles are valid."""

import dataclasses
import re
import shlex

import pytest

from devise_tf.config import Config
from devise_tf.models.registry import architectures
from tests.helpers.wheel import CHECKOUT as ROOT

CARDS = sorted((ROOT / "models").glob("*/README.md"))
DOCUMENTS = [ROOT / name for name in ("README.md", "BUILD.md", "CONTRIBUTING.md", "export/README.md")]
DOCUMENTS = list(dict.fromkeys([*DOCUMENTS, *CARDS, *sorted((ROOT / "models").glob("*/[A-Z]*.md"))]))
FLAGFILES = sorted((ROOT / "models").rglob("*.flags"))
# Flags of the command line that are no settings.
COMMAND_FLAGS = {"flagfile", "recipe", "help"}
BEAM_FLAGS = {"environment_type", "environment_config", "extra_package", "setup_file", "temp_location"}
BEAM_FLAGS |= {"hdfs_host", "hdfs_port", "hdfs_user"}
SETTINGS = {field.name: field for field in dataclasses.fields(Config)}


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=[path.relative_to(ROOT).as_posix() for path in paths])


def snippets():
    """Every ```python block of the documents, with the place where it starts."""
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text[: match.start()].count("\n") + 1
            yield pytest.param(match[1], id=f"{path.relative_to(ROOT).as_posix()}:{line}")


def named_flags(text):
    """Names behind `--`. Commands of other programs, and tables of Apache Beam's flags, are left out."""
    others = re.compile(r"^.*(\b(apt|pytest|ruff|git|pip|tensorboard)\b|Runner).*$", re.MULTILINE)
    return set(re.findall(r"(?<![\w-])--([a-z][a-z0-9_]*)", others.sub("", text)))


def flags_of(module):
    """The flags that one of the package's other commands defines."""
    inside = module.removeprefix("devise_tf.").replace(".", "/")
    # `export/` and `models/` lie beside `devise_tf/`.
    paths = (f"{inside}/__main__.py", f"{inside}.py", f"devise_tf/{inside}.py", f"devise_tf/{inside}/__main__.py")
    path = next(ROOT / path for path in paths if (ROOT / path).is_file())
    source = path.read_text(encoding="utf-8")
    return set(re.findall(r"(?:define\.\w+\(|add_argument\()\s*\"(?:--)?([a-z0-9_]+)\"", source))


def settings_of(path):
    """The settings that a flagfile gives, as the command line reads them."""
    values = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(("#", "//")) or not line.strip():
            continue
        name, equals, value = line.strip().removeprefix("--").partition("=")
        assert line.startswith("--") and equals, f"{path}: {line!r} is not --name=value"
        kind = SETTINGS[name].type
        values[name] = value.lower() in ("true", "1") if kind is bool else kind(value)
    return values


def test_every_model_and_list_has_a_card():
    endings = (".py", ".flags", ".txt", ".tsv")
    folders = {path.parent for path in (ROOT / "models").glob("*/*") if path.suffix in endings}
    assert {path.parent for path in CARDS} == folders


@pytest.mark.parametrize("code", list(snippets()))
def test_snippets_run(code):
    exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})


@named(DOCUMENTS)
def test_flags_exist(path):
    text = path.read_text(encoding="utf-8")
    commands = {module for module in re.findall(r"\b(tests\.benchmarks\.\w+)", text)}
    commands |= set(re.findall(r"-m (devise_tf\.models(?:\.\w+)+)", text))
    others = ("evaluate", "predict", "vectors", "text.beam", "export", "serve", "serving_client")
    commands |= {f"devise_tf.{name}" for name in others if re.search(rf"-m devise_tf\.{name}\b", text)}
    if any("benchmarks" in module for module in commands):
        commands.add("tests.benchmarks.harness")
    known = set().union(SETTINGS, COMMAND_FLAGS, *map(flags_of, commands))
    known |= BEAM_FLAGS if "devise_tf.text.beam" in commands else set()
    unknown = named_flags(text) - known
    assert not unknown, f"{path} names flags that there are not: {sorted(unknown)}"


@named(DOCUMENTS)
def test_flagfiles_and_presets_that_are_named_exist(path):
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"--flagfile=(models/[\w./]+)", text):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"--recipe=([a-z_]+)", text):
        assert name in {flagfile.stem for flagfile in FLAGFILES}, name


@named(DOCUMENTS)
def test_linked_files_exist(path):
    for target in re.findall(r"\]\(\s*([^)\s]+)\s*\)", path.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("#"):
            assert (path.parent / target.partition("#")[0]).exists(), f"{path} links to {target}"


@named(FLAGFILES)
def test_flagfiles_are_valid(path):
    config = Config(**{"model_dir": "run"} | settings_of(path))
    assert config.visual_model in architectures()
    for value in (config.unseen_labels, config.hierarchy):
        assert not value.startswith("models/") or (ROOT / value).is_file(), value


@named(FLAGFILES)
def test_flagfiles_open_with_their_command(path):
    command = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    assert shlex.split(command)[:3] == ["python", "-m", "devise_tf.train"]
    assert f"--flagfile={path.relative_to(ROOT).as_posix()}" in command


def test_help_names_visual_models_that_exist():
    names = re.findall(r"[\w/]+(?=,|\.$)", SETTINGS["visual_model"].metadata["help"].partition(":")[2])
    assert len(names) > 10 and set(names) <= set(architectures())


def test_the_documents_stay_short():
    for name, limit in (("README.md", 200), ("BUILD.md", 150)):
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) < limit, name
