import pytest
import tensorflow as tf

from devise_tf.export.server.request_error import RequestError, from_tensorflow


@pytest.mark.parametrize(
    ("code", "status"),
    # From TF Serving's http_server.cc.
    [
        ("INVALID_ARGUMENT", 400),
        ("FAILED_PRECONDITION", 400),
        ("OUT_OF_RANGE", 400),
        ("NOT_FOUND", 404),
        ("RESOURCE_EXHAUSTED", 429),
        ("CANCELLED", 499),
        ("INTERNAL", 500),
        ("UNIMPLEMENTED", 501),
        ("UNAVAILABLE", 503),
        ("DEADLINE_EXCEEDED", 504),
    ],
)
def test_http_codes_are_those_of_tf_serving(code, status):
    assert RequestError(code, "x").http_status == status


def test_explicit_http_status_overrides_the_default():
    assert RequestError("RESOURCE_EXHAUSTED", "x", http_status=503).http_status == 503


def test_long_messages_are_cut():
    assert str(RequestError("INTERNAL", "ä" * 10_000)) == "ä" * 600 + "…"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("failed: [no image]\n\t [[{{function_node cond_99}}{{node cond/Assert}}]]", "failed: [no image]"),
        (
            "2 root error(s) found.\n  (0) INVALID_ARGUMENT: bad input\n\t [[{{node a}}]]\n\t [[b]]\n"
            "  (1) INVALID_ARGUMENT: bad input\n\t [[{{node a}}]]\n0 successful operations.",
            "bad input",
        ),
        ("{{function_node __wrapped__Add}} shapes do\nnot fit", "shapes do not fit"),
        ("", "InvalidArgumentError"),
    ],
)  # fmt: skip
def test_session_errors_leave_out_the_graph(text, expected):
    error = from_tensorflow(tf.errors.InvalidArgumentError(None, None, text))
    assert (error.code, str(error)) == ("INVALID_ARGUMENT", expected)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (tf.errors.NotFoundError, "NOT_FOUND"),
        (tf.errors.ResourceExhaustedError, "RESOURCE_EXHAUSTED"),
        (tf.errors.InternalError, "INTERNAL"),
        (tf.errors.DataLossError, "DATA_LOSS"),
        (tf.errors.UnauthenticatedError, "UNAUTHENTICATED"),
    ],
)
def test_session_errors_keep_their_code(error, code):
    assert from_tensorflow(error(None, None, "x")).code == code


def test_other_errors_name_their_class():
    error = from_tensorflow(OSError("no file\nhere"))
    assert (error.code, str(error)) == ("UNKNOWN", "OSError: no file here")
