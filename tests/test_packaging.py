"""The package is built from what is tracked, and installs with links and without."""

import os
import re
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.helpers.wheel import (
    CHECKOUT,
    LINKS,
    PACKAGE_FOLDERS,
    away,
    build_wheel_directly,
    copy_sources,
    install_editable,
    run,
    tracked_files,
)

# Pictures of the cards, which are read in the repository.
NOT_IN_WHEEL = {"models/skip_gram/label_terms_300.png"}


@pytest.fixture(scope="module", params=["links", "no_links", "links_as_text"])
def sources(request, tmp_path_factory):
    """The sources of a checkout; of one without links; and of one whose links Git has written as text files."""
    folder = copy_sources(tmp_path_factory.mktemp("sources"), links=request.param == "links")
    if request.param == "links_as_text":
        for link in LINKS:
            (folder / link).write_text(f"../{Path(link).name}")
    return folder


def names_in(wheel):
    return {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}


def expected_names():
    """models/a.flags lies in the wheel as devise_tf/models/a.flags."""
    files = set(tracked_files(*PACKAGE_FOLDERS)) - NOT_IN_WHEEL
    return {name if name.startswith("devise_tf/") else f"devise_tf/{name}" for name in files}


def test_the_list_of_tracked_files_has_all_kinds():
    endings = {Path(name).suffix for name in tracked_files(*PACKAGE_FOLDERS)}
    assert endings >= {*".py .flags .txt .md .npz .html .config .yaml .json .pbtxt .typed".split()}
    assert NOT_IN_WHEEL <= set(tracked_files(*PACKAGE_FOLDERS))


def test_every_checkout_gives_the_same_wheel(sources, tmp_path):
    package = {name for name in names_in(build_wheel_directly(sources, tmp_path)) if name.startswith("devise_tf/")}
    assert package == expected_names()


def test_wheel_of_the_source_distribution_holds_exactly_the_tracked_files(wheel):
    names = names_in(wheel)
    package = {name for name in names if name.startswith("devise_tf/")}
    assert package == expected_names()
    (dist_info,) = {name.split("/")[0] for name in names - package}
    assert re.fullmatch(r"devise_tf-[0-9.a-z]+\.dist-info", dist_info)
    assert any(name.startswith(dist_info) and name.endswith("LICENSE") for name in names)


def test_wheel_metadata(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    metadata = archive.read(name).decode()
    version = re.search(r'__version__ = "(.+)"', (CHECKOUT / "devise_tf" / "__init__.py").read_text()).group(1)
    assert f"\nVersion: {version}\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert re.search(r"\nLicense(-Expression)?: Apache-2.0\n", metadata)


def test_uninstalled_checkout_runs_from_another_folder(sources, tmp_path):
    code = "import devise_tf.models as m, devise_tf.export as e, devise_tf.packaged as p; import os\n"
    code += "print(*map(os.path.realpath, [m.__file__, e.__file__, *p.packaged_files('preset').values()]))"
    paths = run(sys.executable, "-c", code, cwd=tmp_path, **away(sources)).split()
    assert [Path(path) for path in paths] == [
        sources / "models" / "__init__.py",
        sources / "export" / "__init__.py",
        sources / "models" / "efficientnet_lite" / "efficientnet_lite0.json",
        sources / "models" / "efficientnet_lite" / "efficientnet_lite2.json",
    ]


def test_editable_install_runs_from_another_folder(sources, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install_editable(python, sources)
    code = "import devise_tf.models, importlib.util as u; print(u.find_spec('devise_tf.models.resnet').origin)"
    origin = run(python, "-P", "-c", code, cwd=tmp_path, PYTHONPATH="").strip()
    assert Path(origin).resolve() == sources / "models" / "resnet" / "__init__.py"


def test_import_is_light(tmp_path):
    """`import devise_tf` loads itself and standard modules that every interpreter start loads anyway."""
    code = "import os, sys; before = set(sys.modules); import devise_tf; print(*sorted(set(sys.modules) - before))"
    assert run(sys.executable, "-c", code, cwd=tmp_path, **away(CHECKOUT)).split() == ["devise_tf"]


def test_no_file_names_a_path_of_a_development_machine():
    pattern = re.compile(rb"(?<![\w./])/(work|root|home/\w+|tmp/w|Users/\w+)/")
    files = [CHECKOUT / name for name in tracked_files() if not name.endswith((".npz", ".png"))]
    named = [f"{path}: {match.group()}" for path in files for match in pattern.finditer(path.read_bytes())]
    assert not named, named
