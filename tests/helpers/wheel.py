"""The package as its users get it: tracked files, the wheel made of them, and commands away from the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Where the tests run against an installed package, the checkout is elsewhere.
CHECKOUT = Path(os.environ.get("DEVISE_TF_CHECKOUT", ROOT))
PACKAGE_FOLDERS = ("devise_tf", "models", "export")
LINKS = ("devise_tf/models", "devise_tf/export")
_BUILD_FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def run(*arguments: Any, cwd: Path, **environment: str) -> str:
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


def away(*paths: Path) -> dict[str, str]:
    """Environment variables by which Python finds `paths` first, and nothing in the folder where it starts."""
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(map(str, paths))}


def tracked_files(*folders: str) -> list[str]:
    """The files that are in Git or about to be, without the package's links; of the whole checkout by default."""
    if not (CHECKOUT / ".git").exists():  # an archive of the sources holds nothing else
        paths = [path for path in CHECKOUT.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        names = {path.relative_to(CHECKOUT).as_posix() for path in paths}
        return sorted(name for name in names if not folders or name.split("/")[0] in folders)
    listing = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders)
    names = set(run(*listing, cwd=CHECKOUT).split("\0")) - {"", *LINKS}
    return sorted(name for name in names if (CHECKOUT / name).is_file())


def copy_sources(folder: Path, links: bool = True) -> Path:
    """Copies what the build needs, so that it leaves nothing in the checkout and meets nothing stale.

    Args:
        folder: Where to.
        links: Bool. False leaves the links out: as in an archive, or with Git on Windows.
    """
    for name in [*tracked_files(*PACKAGE_FOLDERS), *_BUILD_FILES]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, folder / name)
    for link in LINKS if links else ():
        (folder / link).symlink_to(Path("..") / Path(link).name, target_is_directory=True)
    return folder


def build_wheel(sources: Path, folder: Path) -> Path:
    """Builds the wheel from the source distribution, as a package index would hold it."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, sources, cwd=folder)
    return next(folder.glob("*.whl"))


def build_wheel_directly(sources: Path, folder: Path) -> Path:
    """Builds the wheel without a source distribution, in a third of the time."""
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    run(sys.executable, "-c", code, cwd=sources)
    return next(folder.glob("*.whl"))


def install(wheel: Path, folder: Path) -> None:
    """Installs a wheel in a folder, and nothing else."""
    run(*_PIP, "install", "--quiet", "--no-deps", "--no-index", "--target", folder, wheel, cwd=wheel.parent)


def install_editable(python: Path, sources: Path) -> None:
    """Makes an editable install for an interpreter that has no packages: the build backend comes from this one's."""
    packages = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "-e", sources)
    run(*_PIP, "--python", python, "install", *options, cwd=sources.parent, PYTHONPATH=packages)
