"""Packaging: one installed name, `devise_tf`, out of the folders `devise_tf/`, `models/` and `export/`."""

import os
import re

from setuptools import find_packages, setup

_ROOT = os.path.dirname(os.path.abspath(__file__))


_PLOTS = ["matplotlib>=3.8", "scikit-learn>=1.4"]
_BEAM = ["apache-beam>=2.77"]
_CONVERT = ["ai-edge-litert>=2.0", "tf2onnx>=1.17", "onnx>=1.17", "onnxruntime>=1.20"]
_HUB = ["keras-hub>=0.20"]
_HEIC = ["pillow-heif>=0.18"]
_SERVING = ["aiohttp>=3.10", "prometheus-client>=0.20"]


def _read(name):
    with open(os.path.join(_ROOT, name), encoding="utf-8") as file:
        return file.read()


def _packages():
    """The packages, and folders of those that lie elsewhere.

    In a checkout `devise_tf/models` and `devise_tf/export` are links to the folders beside `devise_tf`. Where links
    cannot be (a ZIP file, Git on Windows), the folders are named here.
    """
    packages, package_dir = find_packages(_ROOT, include=["devise_tf*"]), {}
    for name in ("models", "export"):
        if f"devise_tf.{name}" not in packages:
            package_dir[f"devise_tf.{name}"] = name
            packages.append(f"devise_tf.{name}")
            packages += [f"devise_tf.{name}.{below}" for below in find_packages(os.path.join(_ROOT, name))]
    return {"packages": packages, "package_dir": package_dir}


setup(
    name="devise_tf",
    # Read, not imported: the build environment has none of the dependencies.
    version=re.search(r'^__version__ = "([^"]+)"$', _read("devise_tf/__init__.py"), re.MULTILINE).group(1),
    description="DeViSE, a deep visual-semantic embedding model zoo for TensorFlow and Keras",
    long_description=_read("README.md") if os.path.isfile(os.path.join(_ROOT, "README.md")) else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    **_packages(),
    package_data={
        "": [
            f"**/*.{ending}"
            for ending in "flags txt md tsv npz html config yaml json toml pbtxt typed".split()
        ]
    },
    zip_safe=False,
    python_requires=">=3.11",
    install_requires=[
        "tensorflow>=2.18",
        "keras>=3.8",
        "numpy>=1.26",
        "scipy>=1.11",
        # Compiles the skip-gram's inner loops for the CPU at hand.
        "numba>=0.60",
        "absl-py>=2.0",
        "pillow>=10.1",
        # Lists of labels in YAML.
        "pyyaml>=6.0",
        # Weights in Keras's `.weights.h5`.
        "h5py>=3.10",
        "tensorboard>=2.18",
        # Messages of TF Serving: an export's warm-up requests, and those of the client and the server.
        "tensorflow-serving-api>=2.18",
        "tensorflow-datasets>=4.9.7",
        # Tokenizers of scripts without spaces. It fixes the version of TensorFlow; elsewhere there may be no wheel.
        "tensorflow-text>=2.18; platform_system == 'Darwin' or platform_machine == 'x86_64'",
        # TFDS imports it when it prepares a set, and does not declare it.
        "importlib_resources",
        # Random access to TFDS data sets. TFDS itself asks for it on Linux only; elsewhere there may be no wheel.
        "array_record>=0.5.0; platform_system == 'Linux'",
    ],
    extras_require={
        "plots": _PLOTS,
        "beam": _BEAM,
        "serving": _SERVING,
        "convert": _CONVERT,
        "hub": _HUB,
        "heic": _HEIC,
        "test": [
            "pytest>=8.0", "pytest-xdist>=3.6", "ruff>=0.8", "mypy>=1.15", "build>=1.0", "setuptools>=64", "wheel",
            "gensim>=4.3", "playwright>=1.40", "sentencepiece>=0.2",
            *_PLOTS, *_BEAM, *_SERVING, *_CONVERT, *_HUB,
        ],  # fmt: skip
    },
    classifiers=[
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
