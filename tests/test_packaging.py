"""The package as its users get it: built, installed, and run away from the checkout."""

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("devise_tf", "models", "export", "setup.py", "pyproject.toml", "README.md", "LICENSE")
DATA_SUFFIXES = {".flags", ".txt", ".md", ".tsv"}


def run(*arguments, cwd, **environment):
    """Runs a command and returns its standard output; a failure shows all that it printed."""
    result = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "2", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"{arguments} failed:\n{result.stdout}\n{result.stderr}"
    return result.stdout


def run_away(code, folder, *paths):
    """Runs Python code in `folder` with `paths` in front of the module search path and the folder itself not on it."""
    return run(sys.executable, "-P", "-c", code, cwd=folder, PYTHONPATH=os.pathsep.join(map(str, paths))).strip()


def site_packages():
    """Where this interpreter's own packages lie (keras and others), for environments that have none."""
    return [path for path in sys.path if path.endswith("site-packages")]


def installed_name(relative):
    """Where a file of the checkout lies in the wheel: models/a.flags -> devise_tf/models/a.flags."""
    return relative.as_posix() if relative.parts[0] == "devise_tf" else f"devise_tf/{relative.as_posix()}"


def package_files(root, suffixes):
    for tree in ("devise_tf", "models", "export"):
        for path in sorted((root / tree).rglob("*")):
            if path.suffix in suffixes:
                yield path.relative_to(root)


@pytest.fixture(scope="module")
def source_tree(tmp_path_factory):
    """A copy of what the build needs, so that it leaves nothing in the checkout and meets nothing stale."""
    tree = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        elif (ROOT / name).is_file():
            shutil.copy(ROOT / name, tree / name)
    return tree


@pytest.fixture(scope="module")
def wheel(source_tree, tmp_path_factory):
    """The wheel, built from the source distribution as a package index would hold it."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source_tree, cwd=out)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the wheel installed in it and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", "--target", target, wheel, cwd=target)
    return target


def test_wheel_holds_one_name_and_every_file(source_tree, wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    (dist_info,) = {name.split("/")[0] for name in names} - {"devise_tf"}
    assert re.fullmatch(r"devise_tf-[0-9.a-z]+\.dist-info", dist_info)
    assert any(name.startswith(dist_info) and name.endswith("LICENSE") for name in names)
    expected = {installed_name(path) for path in package_files(source_tree, {".py"} | DATA_SUFFIXES)}
    assert names >= expected, f"Left out of the wheel: {sorted(expected - names)}"


def test_wheel_metadata(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    metadata = archive.read(name).decode()
    version = re.search(r'__version__ = "(.+)"', (ROOT / "devise_tf" / "__init__.py").read_text()).group(1)
    assert f"\nVersion: {version}\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert re.search(r"\nLicense(-Expression)?: Apache-2.0\n", metadata)


def test_installed_wheel_runs_from_another_folder(installed, tmp_path):
    code = "import devise_tf, devise_tf.models.resnet as r; print(devise_tf.__file__, r.__file__, r.resnet.__name__)"
    package, module, function = run_away(code, tmp_path, installed).split()
    assert Path(package) == installed / "devise_tf" / "__init__.py"
    assert Path(module) == installed / "devise_tf" / "models" / "resnet" / "__init__.py"
    assert function == "resnet"


@pytest.mark.parametrize("arguments", [["--help"], ["--recipe=quickstart", "--help"]])
def test_installed_wheel_has_the_train_command(installed, tmp_path, arguments):
    result = subprocess.run(
        [sys.executable, "-P", "-m", "devise_tf.train", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(installed)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    # The help names the file that it is of: the installed copy.
    assert f"{installed / 'devise_tf' / 'train.py'}:" in result.stdout
    assert re.search(r"--recipe: A flagfile that comes with the package:[^-]*\bquickstart\b", result.stdout)
    assert list(tmp_path.iterdir()) == []


def test_uninstalled_checkout_runs_from_another_folder(tmp_path):
    code = "import devise_tf.models; print(devise_tf.models.__file__)"
    assert Path(run_away(code, tmp_path, ROOT)) == ROOT / "models" / "__init__.py"


def test_editable_install_runs_from_another_folder(source_tree, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    # The build backend comes from this interpreter's packages: the new environment is empty.
    packages = os.pathsep.join(site_packages())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", "--no-build-isolation", "-e", source_tree, cwd=tmp_path, PYTHONPATH=packages)
    code = "import devise_tf.models, importlib.util as u; print(u.find_spec('devise_tf.models.resnet').origin)"
    origin = run(python, "-P", "-c", code, cwd=tmp_path).strip()
    assert Path(origin) == source_tree / "models" / "resnet" / "__init__.py"


def test_import_is_light(tmp_path):
    """`import devise_tf` loads itself and standard modules that every interpreter start loads anyway."""
    code = "import os, sys; before = set(sys.modules); import devise_tf; print(*sorted(set(sys.modules) - before))"
    assert run_away(code, tmp_path, ROOT).split() == ["devise_tf"]


def test_no_file_names_a_path_of_a_development_machine():
    pattern = re.compile(r"(?<![\w./])/(work|root|home/\w+|tmp/w|Users/\w+)/")
    suffixes = DATA_SUFFIXES | {".py", ".toml", ".sh", ".json", ".yaml", ".yml"}
    paths = [path for tree in ("devise_tf", "models", "export", "tests", ".ci") for path in (ROOT / tree).rglob("*")]
    paths += ROOT.iterdir()
    named = []
    for path in paths:
        if path.is_file() and (path.suffix in suffixes or path.parent.name == ".ci"):
            named += [f"{path}: {match.group()}" for match in pattern.finditer(path.read_text(encoding="utf-8"))]
    assert not named, named
