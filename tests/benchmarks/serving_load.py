"""Load and damaged requests for `python -m devise_tf.serve`: no wrong answer, no failure of the server's own.

  python -m tests.benchmarks.serving_load --export_dir=serving/devise --minutes=10 --fuzzed=10000

Starts the server as a process of its own on the newest version. For `--minutes` minutes `--clients` clients send, over
gRPC and REST, requests of which three in ten are malformed. Each good answer is compared with the SavedModel's in this
process, each malformed request must be refused as the client's fault. Then come `--fuzzed` requests, each made of a
good one by chance: a third damaged images, a third damaged JSON, a third damaged messages of gRPC. Every answer must be
what the SavedModel says of the same input, or a refusal as the client's fault; answers to messages that ask for some of
the outputs only are counted, not compared. The exit code is 1 if one was wrong.
"""

import json
import os
import signal
import subprocess
import sys
import threading

from absl import flags, logging

from devise_tf import command
from devise_tf.labels import LabelSet
from tests.benchmarks import harness
from tests.benchmarks.serving_requests import Caller, good_requests, make_images, message, outputs_of_message, same
from tests.benchmarks.serving_trials import Reference, fuzz, load


def define_flags(define: command.Definitions) -> None:
    define.string("export_dir", "", "Base path of the exported versions.")
    define.float("minutes", 10.0, "Length of the load, minutes.", 0)
    define.integer("clients", 8, "Clients at once.", 1)
    define.integer("fuzzed", 10_000, "Damaged requests.", 0)
    define.integer("seed", 0, "Of all that is drawn.")
    define.string("output", "", "JSON file of all measurements; empty for none.")


def main(_: list[str], values: flags.FlagValues) -> None:
    from devise_tf.export.publish import newest_version

    if not values.export_dir:
        raise command.UsageError("--export_dir must name the base path of exported versions. Received: none")
    version = newest_version(values.export_dir)
    known = LabelSet.load(os.path.join(version, "assets.extra", "labels.txt"))
    texts = [terms[0] for terms in known.terms]
    server = [sys.executable, "-m", "devise_tf.serve", f"--export_dir={values.export_dir}", "--model_name=devise"]
    process = subprocess.Popen(
        [*server, "--rest_port=0", "--grpc_port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        rest, grpc_address = _addresses(process)
        caller, reference = Caller(rest, grpc_address), Reference(version)
        results = {"machine": harness.machine()}
        if values.minutes:
            results["load"] = load(caller, reference, process.pid, texts, values)
        if values.fuzzed:
            results["fuzz"] = fuzz(caller, reference, texts, values)
        signature, inputs = good_requests(make_images(values.seed), texts)[0]
        status, answer = caller.grpc(message(signature, inputs))
        alive = status == "OK" and same(outputs_of_message(answer), reference.run(signature, inputs))
        process.send_signal(signal.SIGTERM)
        results["server"] = {"answers after all": alive, "exit code": process.wait(60)}
    finally:
        process.kill()
        process.communicate()
    print(json.dumps(results, indent=1, default=str))
    harness.write_json(values.output, results)
    wrong = [problem for part in ("load", "fuzz") for problem in results.get(part, {}).get("wrong", [])]
    if wrong or not alive or results["server"]["exit code"]:
        raise harness.TaskError(f"{len(wrong)} wrong answers or failures (the first 20 of each part are listed).")


def _addresses(process):
    """The REST and gRPC addresses that the server prints."""
    rest = grpc_address = ""
    for line in process.stdout:
        for word in line.split():
            if word.startswith("http://127.0.0.1:") and not rest:
                rest = "http://" + word.removeprefix("http://").split("/")[0].rstrip(".,")
            elif word.startswith("127.0.0.1:") and not grpc_address:
                grpc_address = word.rstrip(".,")
        if rest and grpc_address:
            # What it prints from now on must not fill the pipe.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return rest, grpc_address
    raise harness.TaskError(f"The server ended with {process.wait()} before it served.")


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv, verbosity=logging.ERROR)


if __name__ == "__main__":
    sys.exit(run())
