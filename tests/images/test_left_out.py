"""What a folder of images leaves out."""

import pytest

from devise_tf.images.left_out import LeftOut, is_image, is_system


@pytest.mark.parametrize(
    ("name", "image", "system"),
    [
        ("a.jpg", True, False),
        ("a.WebP", True, False),
        ("notes.txt", False, False),
        (".a.jpg", False, True),
        ("._a.jpg", False, True),
        ("@eaDir", False, True),
        ("Thumbs.db", False, True),
        ("jpg", False, False),
    ],
)
def test_names_of_images_and_of_systems(name, image, system):
    assert (is_image(name), is_system(name)) == (image, system)


def test_only_what_is_added_is_counted():
    left_out = LeftOut("photos")
    for name in ("b.txt", "a.TXT", "README", "._1.jpg", "._2.jpg", "@eaDir"):
        assert not is_image(name)
    assert str(left_out) == ""
    for name in ("b.txt", "a.TXT", "README", "._1.jpg", "._2.jpg", "@eaDir"):
        left_out.add(name)
    assert str(left_out) == "3 files that are no images: .txt 2, no ending 1; hidden or of the system: ._*, @eaDir"
