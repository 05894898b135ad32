"""A server of exported models for tests and laptops, with the interfaces of TensorFlow Serving.

`devise_tf.export.server.server.Server` starts it inside a process, `python -m devise_tf.serve` on the command line.
Importing this package and `server` imports neither TensorFlow nor gRPC; the other modules do.
"""
