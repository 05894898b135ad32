"""The export runs in TensorFlow's C API, without Python: the nearest thing to a model server that a wheel can build."""

import os
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.tiny_model_dir import photo

pytestmark = [
    pytest.mark.slow,  # linking the wheel's 1 GB library takes about ten seconds
    pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc"),
]
_SOURCE = os.path.join(os.path.dirname(__file__), "c_program", "classify.c")
# The last is longer than what TensorFlow keeps of a string inside the tensor.
_LABELS = [
    "snow leopard",
    "cat",
    "nonsense",
    "polar bear",
    "RED  panda",
    "café",
    "a dog and a cat and a zebra, in a row",
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    target = str(tmp_path_factory.mktemp("c") / "classify")
    include, library = tf.sysconfig.get_include(), tf.sysconfig.get_lib()
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", f"-I{include}", f"-L{library}", f"-Wl,-rpath,{library}"]
    libraries = ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    subprocess.run(["gcc", _SOURCE, "-o", target, *flags, *libraries], check=True)
    return target


@pytest.fixture(scope="module")
def signatures(tiny_export):
    loaded = tf.saved_model.load(os.path.join(tiny_export, "1"))
    return {
        name: lambda function=function, **inputs: {k: v.numpy() for k, v in function(**inputs).items()}
        for name, function in loaded.signatures.items()
    }


@pytest.fixture
def run(program, tiny_export, tmp_path):
    """Runs the program on the bytes of a photo, in an environment that knows nothing of Python."""

    def run(data, *labels, version_dir=None):
        path = tmp_path / "photo.jpg"
        if data is not None:
            path.write_bytes(data)
        return subprocess.run(
            [program, version_dir or os.path.join(tiny_export, "1"), str(path), *labels],
            env={"TF_CPP_MIN_LOG_LEVEL": "2", "LC_ALL": "C"},
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )

    return run


def _rows(completed):
    assert completed.returncode == 0, completed.stderr
    rows = [line.split("\t") for line in completed.stdout.splitlines()]
    return [row[0] for row in rows], [float(row[1]) for row in rows], [row[2] for row in rows]


@pytest.mark.parametrize("form, mode", [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB")])
def test_c_program_scores_given_labels(run, signatures, form, mode):
    data = photo(5, form=form, mode=mode)
    labels, scores, known = _rows(run(data, *_LABELS))
    expected = signatures["classify"](image_bytes=tf.constant([data]), labels=tf.constant([_LABELS]))
    assert labels == [label.decode() for label in expected["labels"][0]]
    np.testing.assert_allclose(scores, expected["scores"][0], rtol=0, atol=1e-5)
    assert known == ["1" if value else "0" for value in expected["known"][0]]
    # By themselves: all that was asked, best first, and what has no vector last.
    assert sorted(labels) == sorted(_LABELS)
    assert scores == sorted(scores, reverse=True)
    assert {label for label, is_known in zip(labels, known, strict=True) if is_known == "0"} == {
        "nonsense",
        "a dog and a cat and a zebra, in a row",
    }
    assert all(score == -1 for score, is_known in zip(scores, known, strict=True) if is_known == "0")


def test_labels_of_the_export(run, signatures):
    data = photo(6)
    labels, scores, known = _rows(run(data))
    expected = signatures["serving_default"](image_bytes=tf.constant([data]))
    assert labels == [label.decode() for label in expected["labels"][0]]
    np.testing.assert_allclose(scores, expected["scores"][0], rtol=0, atol=1e-5)
    assert known == ["1", "1", "1"]  # the export's k is 3


def test_c_program_scores_a_single_label(run):
    assert _rows(run(photo(7), "zebra"))[0] == ["zebra"]


@pytest.mark.parametrize(
    "data, message",
    [
        (photo(8)[:200], "JPEG"),
        (b"", "classify: "),
        (b"not an image at all", "classify: "),
        (None, "photo.jpg: No such file or directory"),
    ],
    ids=["cut", "empty", "text", "missing"],
)
@pytest.mark.parametrize("labels", [[], ["cat"]], ids=["default", "own"])
def test_c_program_reports_unreadable_photos(run, data, message, labels):
    completed = run(data, *labels)
    assert completed.returncode == 1
    assert completed.stdout == ""
    assert message in completed.stderr


def test_c_program_reports_a_directory_without_a_model(run, tmp_path):
    completed = run(photo(9), version_dir=str(tmp_path))
    assert (completed.returncode, completed.stdout) == (1, "")
    assert f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {tmp_path}" in completed.stderr


def test_c_program_reports_a_missing_signature(run, tmp_path):
    module = tf.Module()
    module.f = tf.function(lambda image_bytes: {"labels": image_bytes}, [tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path / "other"), {"serving_default": module.f})
    completed = run(photo(9), "cat", version_dir=str(tmp_path / "other"))
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "the SavedModel has no signature classify" in completed.stderr
    completed = run(photo(9), version_dir=str(tmp_path / "other"))
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "the signature has no scores" in completed.stderr


def test_usage(program):
    completed = subprocess.run([program, "one"], env={}, capture_output=True, text=True)
    assert completed.returncode == 2
    assert "usage: classify VERSION_DIR PHOTO [LABEL ...]" in completed.stderr


def test_c_program_does_not_link_python(program):
    libraries = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    assert "libtensorflow_cc" in libraries
    assert "libpython" not in libraries
