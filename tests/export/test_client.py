"""The client's requests and answers, against servers on real sockets that give canned answers."""

import concurrent.futures
import io
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from devise_tf.export.client import ServingClient, ServingError
from tests.helpers.canned_server import PROTOCOLS, CannedServer, served
from tests.helpers.image_files import encode, noise

IMAGES = [b"\xff\xd8 one\x00\x00", b"another image", b"\x00"]


def test_classify_gives_the_same_over_both_protocols():
    labels = ["cat", "nonsense", "snow leopard", "Ångström – 雪豹"]
    answers = {}
    for protocol in PROTOCOLS:
        with served(protocol, model_name="a model", version=7) as (server, client):
            answers[protocol] = answer = client.classify(IMAGES, labels)
        name = "a model" if protocol == "grpc" else "a%20model"
        assert server.requests == [(name, 7, "classify", {"image_bytes": IMAGES, "labels": [labels]})]
        assert answer["labels"].shape == (3, 4)
        # The longer the label, the higher the score: 13, 12 and 3 letters.
        assert answer["labels"].tolist() == [["Ångström – 雪豹", "snow leopard", "cat", "nonsense"]] * 3
        assert answer["known"].tolist() == [[True, True, True, False]] * 3
        assert answer["indices"].tolist() == [[3, 2, 0, 1]] * 3
        np.testing.assert_array_equal(
            answer["scores"],
            np.array(
                [
                    [21 / 300, 20 / 300, 11 / 300, -1],
                    [26 / 300, 25 / 300, 16 / 300, -1],
                    [14 / 300, 13 / 300, 4 / 300, -1],
                ]
            ).astype(np.float32),
        )
        assert [array.dtype for array in answer.values()] == [object, np.float32, bool, np.int32]
    for name in answers["grpc"]:
        np.testing.assert_array_equal(answers["grpc"][name], answers["rest"][name])


@pytest.mark.parametrize(
    "ask, expected",
    [
        (
            lambda client: client.predict(IMAGES[:2]),
            {
                "labels": (object, [["cat", "snow leopard"]] * 2),
                "scores": (np.float32, [[11 / 300, 8 / 300], [16 / 300, 13 / 300]]),
            },
        ),
        (
            lambda client: client.embed_image(IMAGES[:2]),
            {
                "embedding": (np.float32, [[9 / 300, 10 / 300, 0], [14 / 300, 15 / 300, 0]]),
                "norm": (np.float32, [8 / 300, 13 / 300]),
            },
        ),
        (
            lambda client: client.embed_label(["snow leopard", "nonsense"]),
            {
                "embedding": (np.float32, [[12 / 300, 1], [-1, 1]]),
                "known_tokens": (np.int32, [1, 0]),
                "num_tokens": (np.int32, [2, 1]),
            },
        ),
        (
            lambda client: client.classify(IMAGES[:2], [["a", "bc"], ["nonsense", "bc"]]),
            {
                "labels": (object, [["bc", "a"], ["bc", "nonsense"]]),
                "scores": (np.float32, [[10 / 300, 9 / 300], [15 / 300, -1]]),
                "known": (bool, [[True, True], [True, False]]),
                "indices": (np.int32, [[1, 0], [1, 0]]),
            },
        ),
    ],
    ids=["predict", "embed_image", "embed_label", "classify_rows"],
)
def test_answers_have_the_signatures_types_and_values(protocol, ask, expected):
    with served(protocol) as (_, client):
        answer = ask(client)
    assert sorted(answer) == sorted(expected)
    for name, (dtype, values) in expected.items():
        assert answer[name].dtype == dtype
        np.testing.assert_array_equal(answer[name], np.array(values, dtype))


def test_omitted_tensor_values_repeat_the_last_one():
    """A tensor whose last values are equal may hold them once."""

    def step(_, response):
        for name, array in {"labels": [["a", "b", "b"]], "scores": np.full((1, 3), 0.5, np.float32)}.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        response.outputs["labels"].string_val.pop()
        response.outputs["scores"].ClearField("tensor_content")
        response.outputs["scores"].float_val.extend([0.5])
        return True

    with served("grpc") as (server, client):
        server.steps = [step]
        answer = client.predict([b"x"])
    assert answer["labels"].tolist() == [["a", "b", "b"]]
    assert answer["scores"].tolist() == [[0.5, 0.5, 0.5]]


def test_messages_above_grpcs_default_limit_pass(protocol):
    image, label = b"\x00\xff" * 3_000_000, "x" * 5_000_000
    with served(protocol) as (server, client):
        answer = client.classify([image], [label])
        assert answer["labels"][0, 0] == label
        assert server.requests[0][3]["image_bytes"] == [image]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>a proxy</html>",
        b"",
        b"\xff\xfe",
        b"[1]",
        b'{"predictions": []}',
        b'{"outputs": [[1]]}',
        b'{"outputs": {"labels": [["a"]]}}',
        b'{"outputs": {"labels": [["a"]], "scores": [["x"]]}}',
        b'{"outputs": {"labels": [["a"], ["a"]], "scores": [[1], [1]]}}',
        b'{"outputs": {"labels": ["a"], "scores": [1]}}',
    ],
)
def test_rest_answers_of_another_model_are_data_loss(body, quick):
    with served("rest") as (server, client):
        server.steps = [lambda handler: handler.reply(200, body)]
        with pytest.raises(ServingError, match="is not that of an export of devise_tf") as info:
            client.predict([b"x"])
        assert info.value.code == "DATA_LOSS"
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"labels": [["a"]]},
        {"labels": [["a"]], "scores": np.zeros((2, 1), np.float32)},
        {"labels": [[1j]], "scores": [[1.0]]},
    ],
    ids=["none", "missing", "rows", "type"],
)
def test_grpc_answers_of_another_model_are_data_loss(outputs):
    def step(_, response):
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return True

    with served("grpc") as (server, client):
        server.steps = [step]
        with pytest.raises(ServingError, match="is not that of an export of devise_tf") as info:
            client.predict([b"x"])
        assert info.value.code == "DATA_LOSS"


def test_one_client_serves_many_threads(protocol):
    def ask(number):
        image = b"x" * number
        return client.predict([image])["scores"][0, 1], np.float32(number / 300)

    with served(protocol) as (server, client), concurrent.futures.ThreadPoolExecutor(8) as pool:
        for result, expected in pool.map(ask, range(1, 81)):
            assert result == expected
    assert len(server.requests) == 80
    assert server.connections <= 8


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"protocol": "http"}, "`protocol` must be 'grpc' or 'rest'. Received: protocol='http'"),
        ({"timeout": 0}, "`timeout` must be above 0 seconds, `retries` at least 0. Received: timeout=0, retries=3"),
        ({"retries": -1}, "Received: timeout=30.0, retries=-1"),
    ],
)
def test_arguments_out_of_range_raise_an_error(arguments, message):
    with pytest.raises(ValueError) as info:
        ServingClient(**arguments)
    assert str(info.value).endswith(message)


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda c: c.predict([]), "`images` must be a list of encoded images, at least one. Received: list"),
        (lambda c: c.predict(b"abc"), "Received: bytes"),
        (lambda c: c.embed_image(["abc"]), "Images must be bytes. Received: ['str']"),
        (lambda c: c.classify([b"a"], []), "`labels` must be a list of labels, at least one. Received: labels=[]"),
        (lambda c: c.classify([b"a"], "cat"), "Received: labels='cat'"),
        (lambda c: c.classify([b"a"], [[]]), "Received: 1 images, lists of lengths [0]"),
        (lambda c: c.classify([b"a", b"b"], [["x"], ["y", "z"]]), "Received: 2 images, lists of lengths [1, 2]"),
        (lambda c: c.classify([b"a"] * 3, [["x"], ["y"]]), "Received: 3 images, lists of lengths [1, 1]"),
        (lambda c: c.classify([b"a"], ["x", 3]), "Labels must be strings. Received: labels=['x', 3]…"),
        (lambda c: c.embed_label([]), "`labels` must be a list of strings, at least one. Received: labels=[]"),
        (lambda c: c.embed_label("cat"), "Received: labels='cat'"),
        (lambda c: c.embed_label([b"cat"]), "Received: labels=[b'cat']"),
    ],
)
def test_invalid_requests_raise_before_they_are_sent(protocol, ask, message):
    with ServingClient(protocol=protocol, port=1) as client:
        with pytest.raises(ValueError) as info:
            ask(client)
    assert str(info.value).endswith(message)


def test_closed_client_raises_an_error(protocol):
    with served(protocol) as (_, client):
        client.predict([b"x"])
        client.close()
        with pytest.raises(ValueError, match="closed"):
            client.predict([b"x"])


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6(host):
    assert ServingClient(host, protocol="rest").address == "[::1]:8501"


def test_missing_grpc_packages_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    monkeypatch.delitem(sys.modules, "devise_tf.export.client.grpc", raising=False)
    with pytest.raises(ModuleNotFoundError, match="pip install tensorflow-serving-api.*protocol 'rest'"):
        ServingClient()
    ServingClient(protocol="rest").close()


def test_rest_client_loads_no_tensorflow():
    server = CannedServer("rest")
    try:
        code = (
            "import sys\n"
            "from devise_tf.export.client import ServingClient\n"
            "import devise_tf.serving_client\n"
            "with ServingClient(port=int(sys.argv[1]), protocol='rest') as client:\n"
            "    print(client.predict([b'x'])['labels'].tolist())\n"
            "print(sorted({'tensorflow', 'grpc', 'google', 'keras', 'requests', 'aiohttp'} & set(sys.modules)))\n"
        )
        command = [sys.executable, "-W", "error", "-c", code, str(server.port)]
        completed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    finally:
        server.stop()
    assert completed.stderr == ""
    assert completed.stdout.splitlines() == ["[['cat', 'snow leopard']]", "[]"]


def test_photos_that_an_export_would_read_wrongly_are_sent_upright_over_white(protocol):
    exif = Image.Exif()
    exif[0x0112] = 6
    ink = np.zeros((9, 7, 4), "uint8")
    ink[2, 3, 3] = 255
    turned, plain = encode(noise(9, 7), "JPEG", exif=exif), encode(noise(9, 7), "JPEG")
    with served(protocol) as (server, client):
        client.predict([turned, plain, encode(ink, "PNG")])
        with pytest.raises(ValueError, match=r"^images\[1\]: it cannot be decoded"):
            client.predict([plain, encode(noise(), "TIFF")[:3000]])
    sent = server.requests[0][3]["image_bytes"]
    assert len(server.requests) == 1 and sent[1] == plain
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(turned))))
    np.testing.assert_array_equal(tf.io.decode_png(sent[0]), upright)
    np.testing.assert_array_equal(tf.io.decode_png(sent[2]), np.repeat(255 - ink[:, :, 3:], 3, axis=2))
