"""A client of TensorFlow Serving, or of a server with its interface, for exported models."""

from devise_tf.export.client.client import PORTS, ServingClient, ServingError

__all__ = ["PORTS", "ServingClient", "ServingError"]
