"""The files for TensorFlow Serving, as text."""

import os
import re

import devise_tf.export

FOLDER = os.path.join(os.path.dirname(devise_tf.export.__file__), "serving")
README = os.path.join(FOLDER, "README.md")


def text_of(name: str) -> str:
    """The text of a file in the folder."""
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return file.read()


def code_blocks(language: str) -> list[str]:
    """The README's blocks of code."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of("README.md"), re.MULTILINE | re.DOTALL)
