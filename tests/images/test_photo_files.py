"""Which files arguments of a command name."""

from pathlib import Path

import pytest

from devise_tf.images.photo_files import list_photos


@pytest.mark.parametrize(
    ("arguments", "paths", "failed"),
    [
        # Files of folders that `**` went through come once, and texts are no photos.
        (["d/**"], ["d/a/x.webp", "d/e/y.png", "d/z.JPG"], []),
        (["d/**/*"], ["d/a/x.webp", "d/e/y.png", "d/z.JPG"], []),
        (["**"], ["a.jpg", "d/a/x.webp", "d/e/y.png", "d/z.JPG"], []),
        # Folders that another pattern matches are walked, in order.
        (["d/*"], ["d/a/x.webp", "d/e/y.png", "d/z.JPG"], ["d/none"]),
        (["d/[ae]", "d/e", "d/e/y.png", "d/e/*"], ["d/a/x.webp", "d/e/y.png"], []),
        # What is named is tried, once, whatever its ending.
        (["d/notes.txt", "a.jpg", "d/notes.txt", "-", "a.jpg"], ["d/notes.txt", "a.jpg", "-"], []),
        (["*.txt", "d/*.txt", "d/none/**"], ["*.txt"], ["d/*.txt", "d/none/**"]),
    ],
)  # fmt: skip
def test_arguments_name_photos_once_and_in_order(tmp_path, monkeypatch, arguments, paths, failed):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "d/z.JPG", "d/e/y.png", "d/a/x.webp", "d/notes.txt", "d/none/more.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    result, failures = list_photos(arguments)
    assert result == paths
    assert [name for name, _ in failures] == failed and all("no photo " in message for _, message in failures)
