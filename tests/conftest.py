"""Settings shared by all tests."""

import gc
import os
import shutil
import sys
from pathlib import Path

import pytest

import devise_tf
from tests.helpers.shared import shared
from tests.helpers.wheel import build_wheel, copy_sources, install

# Set before any test imports TensorFlow: quiet, on the CPU and on the TensorFlow backend, whatever the machine has.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["KERAS_BACKEND"] = "tensorflow"
# Processes side by side have a core each: more threads would only take turns.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("TF_NUM_INTRAOP_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def pytest_configure() -> None:
    """Where the tests are meant for an installed package, they do not run on another one."""
    if "DEVISE_TF_CHECKOUT" in os.environ and "site-packages" not in Path(devise_tf.__file__).resolve().parts:
        raise pytest.UsageError(f"`devise_tf` must be an installed package. Received: {devise_tf.__file__}")


def pytest_itemcollected(item: pytest.Item) -> None:
    """What soaks is slow, too: `-m "not slow"` leaves it out."""
    if item.get_closest_marker("soak"):
        item.add_marker("slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: processes that are done then find short ones to take over."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Half of the time went into garbage collections, which went through all of TensorFlow again and again.

    What is loaded by now is there for good; what tests leave is collected after each file.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path != item.path:
        gc.collect()


@pytest.fixture(autouse=True)
def _fixed_seed():
    """Every test starts from one seed and leaves the dtype policy as it was. Tests without Keras do not load it."""
    keras = sys.modules.get("keras")
    if keras is None:
        yield
        return
    keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's wheel, built from the tracked files. Not to be changed."""

    def make(folder: Path) -> str:
        return str(build_wheel(copy_sources(folder / "sources"), folder))

    return Path(shared(tmp_path_factory, "wheel", make))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed in it and nothing else. Not to be changed."""
    return Path(shared(tmp_path_factory, "installed", lambda folder: install(wheel, folder) or str(folder)))


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The model directory of `tests/helpers/tiny_model_dir.py`, made once; whoever changes it takes a copy."""
    from tests.helpers.tiny_model_dir import make_model_dir

    return shared(tmp_path_factory, "tiny_model_dir", lambda folder: make_model_dir(folder / "run"))


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, if there is one on the path, driven by playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("there is no Chromium on the path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox"])
        yield browser
        browser.close()
