"""Errors that requests are answered with."""

import re

from tensorflow.errors import OpError

from devise_tf.export.signatures import HTTP_STATUS

# gRPC sends the message as a header, three bytes for a byte that is not ASCII, and clients take 8 KiB of headers.
_MAX_CHARACTERS = 600


class RequestError(Exception):
    """A request cannot be answered.

    Args:
        code: str. Name of a gRPC status.
        message: str. What was wrong; it is cut after 600 characters.
        http_status: int. What a REST client gets; by default what TF Serving makes of `code`.
    """

    def __init__(self, code: str, message: str, http_status: int | None = None):
        super().__init__(shorten(message, _MAX_CHARACTERS))
        self.code = code
        self.http_status = http_status or HTTP_STATUS[code]


def invalid(message: str) -> RequestError:
    """The error of a request that can never be answered, whatever the server's state."""
    return RequestError("INVALID_ARGUMENT", message)


def from_tensorflow(error: Exception) -> RequestError:
    """What a caller is told of an error of TensorFlow's: its code, and its text without the nodes of the graph."""
    if isinstance(error, UnicodeDecodeError):
        # TensorFlow's message repeats bytes of the request, and it failed to make Python's text of them.
        code, text = "INVALID_ARGUMENT", error.object.decode("utf-8", "replace")
    elif isinstance(error, OpError):
        code, text = list(HTTP_STATUS)[error.error_code], error.message
    else:
        return RequestError("UNKNOWN", f"{type(error).__name__}: {' '.join(str(error).split())}")
    # It may repeat all of a request, too.
    text = re.sub(r"^\d+ root error\(s\) found\.\s*\(0\) (?:[A-Z_]+: )?", "", text[:10_000])
    text = re.sub(r"\{\{(?:function_)?node [^}]*\}\}\s*", "", re.split(r"\n\s*(?:\[\[|\(1\) )", text)[0])
    return RequestError(code, " ".join(text.split()) or type(error).__name__)


def shorten(text: str, characters: int = 80) -> str:
    return text if len(text) <= characters else f"{text[:characters]}…"
