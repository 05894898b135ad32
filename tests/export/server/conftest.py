import contextlib
import io

import grpc
import numpy as np
import pytest
from PIL import Image

from devise_tf.export.server.server import Limits, Server


@pytest.fixture(scope="session")
def server(tiny_export):
    """A server of the tiny export, with answers to any number of well-formed and malformed requests."""
    with Server(tiny_export, rest_port=0, grpc_port=0, limits=Limits(max_request_mb=2)) as server:
        yield server


@pytest.fixture
def connect():
    """Gives the stubs of a server's gRPC services: prediction and model."""
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    with contextlib.ExitStack() as channels:

        def make(server):
            options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
            channel = channels.enter_context(grpc.insecure_channel(server.grpc_address, options))
            return (
                prediction_service_pb2_grpc.PredictionServiceStub(channel),
                model_service_pb2_grpc.ModelServiceStub(channel),
            )

        yield make


@pytest.fixture(scope="session")
def photos():
    """Three different photos, JPEG."""
    random = np.random.default_rng(3)
    files = []
    for _ in range(3):
        pixels = np.kron(random.integers(0, 255, (4, 5, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG")
        files.append(file.getvalue())
    return files
