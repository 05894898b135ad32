"""Serves exported versions over gRPC and REST, as TensorFlow Serving does: for tests and laptops.

  python -m devise_tf.serve --export_dir=exports/devise

EXPORT_DIR is what `python -m devise_tf.export` writes to: a directory with a child for each version. The newest is
served; a newer one that appears there replaces it without any request failing. In production, run TensorFlow
Serving on the same directory.

REST listens on 127.0.0.1:8501, gRPC on 127.0.0.1:8500; http://127.0.0.1:8501/ is a page on which a photo can be tried.
There is no authentication and no encryption: keep it on this machine.
"""

import logging as python_logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from absl import flags, logging

from devise_tf import command

if TYPE_CHECKING:
    from devise_tf.export.server.server import Server


def define_flags(define: command.Definitions) -> None:
    define.string("export_dir", None, "Directory with a child for each version.", required=True)
    define.string("model_name", None, "Name of the model; that of --export_dir by default.")
    define.string("host", "127.0.0.1", "Address to listen on.")
    define.integer("rest_port", 8501, "Port for REST; 0 for a free one.", lower_bound=0, upper_bound=65535)
    define.integer("grpc_port", 8500, "Port for gRPC; 0 for a free one.", lower_bound=0, upper_bound=65535)
    define.float("poll_seconds", 1.0, "How often new versions are looked for, seconds.", lower_bound=0.01)
    define.integer("max_request_mb", 64, "Largest request, MiB.", lower_bound=1)
    define.integer(
        "max_in_flight",
        64,
        "Most requests that run at the same time, each in a thread of its own; further ones are refused.",
        lower_bound=1,
    )
    define.float("grace_seconds", 10.0, "How long running requests may take to end on SIGTERM.", lower_bound=0.0)
    define.boolean("wait_for_version", False, "Start without a version, and wait for the first.")


def main(_: list[str], values: flags.FlagValues) -> None:
    from devise_tf.export.server.server import Limits, Server

    names = ("export_dir", "model_name", "host", "rest_port", "grpc_port", "poll_seconds", "wait_for_version")
    with command.usage_errors():
        limits = Limits(values.max_request_mb, values.max_in_flight, values.grace_seconds)
        server = Server(limits=limits, **{name: getattr(values, name) for name in names})
    # Set before the model is loaded, which takes seconds. A second signal ends the process at once.
    stop = threading.Event()

    def request_stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    # Users of the command need no messages about TensorFlow's functions.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)
    server.start()
    print(_greeting(server), flush=True)
    stop.wait()
    print("Stopping: no further requests are taken.", flush=True)
    if not server.stop():
        print(f"Requests were still running after {values.grace_seconds:g} s.", flush=True)
        os._exit(0)  # their threads would keep the process


def _greeting(server: "Server") -> str:
    served = f"version {server.versions.served}" if server.versions.served else "no version yet"
    url = f"{server.rest_address}/v1/models/{server.model_name}"
    lines = [
        "This server is for tests and laptops. In production, run TensorFlow Serving on the same directory.",
        f"Model {server.model_name}, {served}, from {server.export_dir}",
        f"REST  {url}",
        f"gRPC  {server.grpc_address}",
        f"Page  {server.rest_address}/",
        f"""Try   curl -d '{{"signature_name": "embed_label", "instances": ["cat"]}}' {url}:predict""",
    ]
    if not server.is_loopback:
        lines.insert(
            1, f"Warning: {server.host} can be reached from other machines, without authentication and encryption."
        )
    return "\n".join(lines)


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv, verbosity=logging.INFO)


if __name__ == "__main__":
    sys.exit(run())
