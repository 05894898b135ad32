"""TF Serving's REST interface, the metrics, and the page for people."""

import asyncio
import base64
import contextlib
import hashlib
import html
import json
import os
import re
import threading
from collections.abc import Mapping
from concurrent.futures import Executor
from urllib.parse import unquote

import prometheus_client
from aiohttp import web

from devise_tf.export.server.json_answers import classify_answer, predict_answer
from devise_tf.export.server.json_requests import classify_examples, parse_json, predict_inputs
from devise_tf.export.server.model_messages import metadata_json, model_metadata, model_status, to_json
from devise_tf.export.server.model_versions import ModelVersions
from devise_tf.export.server.prediction import run_classify
from devise_tf.export.server.request_error import RequestError, invalid, shorten
from devise_tf.export.server.request_gate import RequestGate
from devise_tf.export.signatures import DEFAULT_SIGNATURE
from devise_tf.photo_bytes import plain_bytes

METRICS_PATH = "/monitoring/prometheus/metrics"
_PREPARE_PATH = "/prepare"
_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<number>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(rf"{_MODEL}:(?P<method>classify|regress|predict)", re.IGNORECASE)
_GET = re.compile(rf"{_MODEL}(?P<metadata>/metadata)?", re.IGNORECASE)
Model = tuple[str, int | None, str]  # name, version or None, and label or ""
_BODY_SECONDS = 60
_SMALL_BODY = 2**20
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class RestApp:
    """The HTTP side of the server.

    | path | |
    |---|---|
    | `POST /v1/models/NAME[/versions/N]:predict`, `:classify` | answers of the model |
    | `GET /v1/models/NAME[/versions/N]` | states of the versions |
    | `GET /v1/models/NAME[/versions/N]/metadata` | signatures |
    | `GET /monitoring/prometheus/metrics` | metrics |
    | `GET /` | a page on which a photo can be tried |
    | `POST /prepare` | for the page: a photo as the model reads it, or status 204 where it is so already |

    Errors are `{"error": "…"}` with TF Serving's HTTP codes. Requests are parsed and answered in `executor`'s threads,
    so that a large one does not hold up the others.

    Args:
        versions: ModelVersions. The model.
        gate: RequestGate. Admits the requests.
        executor: Executor. Runs the requests.
        max_bytes: int. Most bytes of a request's body.
    """

    def __init__(self, versions: ModelVersions, gate: RequestGate, executor: Executor, max_bytes: int):
        self._versions, self._gate, self._executor, self._max_bytes = versions, gate, executor, max_bytes
        self._page, self._page_policy = _load_page(versions.name, max_bytes)
        # Parsed JSON takes many times the memory of its text; large bodies are parsed one at a time.
        self._large_body = threading.Lock()

    def application(self) -> web.Application:
        application = web.Application(client_max_size=self._max_bytes)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.Response:
        path = request.rel_url.raw_path
        if re.match("/v1/", path, re.IGNORECASE):
            return await self._handle_api(request, path)
        if path == _PREPARE_PATH and request.method == "POST":
            return await self._prepare(request)
        if path not in ("/", METRICS_PATH):
            return _error(404, f"Not found: {shorten(path)}")
        if request.method not in ("GET", "HEAD"):
            return _error(405, f"{path} takes GET only.", {"Allow": "GET, HEAD"})
        if path == "/":
            headers = {"Content-Security-Policy": self._page_policy, "X-Frame-Options": "DENY", **_HEADERS}
            return web.Response(text=self._page, content_type="text/html", headers=headers)
        metrics = prometheus_client.generate_latest(self._gate.registry)
        return web.Response(body=metrics, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST, **_HEADERS})

    async def _handle_api(self, request: web.Request, path: str) -> web.Response:
        try:
            if request.method == "POST" and (match := _POST.fullmatch(path)):
                method = match["method"].lower()
                with self._gate.admit("rest", method):
                    body = await self._read(request)
                    answer = await asyncio.get_running_loop().run_in_executor(
                        self._executor, self._post, method, _model(match), body
                    )
            elif request.method == "GET" and (match := _GET.fullmatch(path)):
                method = "metadata" if match["metadata"] else "status"
                with self._gate.admit("rest", method, limited=False):
                    answer = self._get(method, _model(match)).encode()
            else:
                raise invalid(f"Malformed request: {request.method} {path}")
        except RequestError as error:
            return _error(error.http_status, str(error))
        return web.Response(body=answer, content_type="application/json", charset="utf-8", headers=_HEADERS)

    async def _prepare(self, request: web.Request) -> web.Response:
        try:
            with self._gate.admit("rest", "prepare"):
                body = await self._read(request)
                photo = await asyncio.get_running_loop().run_in_executor(self._executor, self._plain_bytes, body)
        except RequestError as error:
            return _error(error.http_status, str(error))
        if photo is body:
            return web.Response(status=204, headers=_HEADERS)
        return web.Response(body=photo, content_type="image/png", headers=_HEADERS)

    def _plain_bytes(self, body: bytes) -> bytes:
        with self._large_body:  # pixels, too, take many times the memory of their file
            try:
                return plain_bytes(body)
            except ValueError as error:
                raise invalid(str(error)) from None

    async def _read(self, request: web.Request) -> bytes:
        too_large = RequestError(
            "RESOURCE_EXHAUSTED",
            f"The body is larger than {self._max_bytes} bytes (--max_request_mb).",
            http_status=413,
        )
        if (request.content_length or 0) > self._max_bytes:
            raise too_large
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise too_large from None
        except TimeoutError:
            raise RequestError("DEADLINE_EXCEEDED", "The body did not arrive in time.", http_status=408) from None
        except (web.RequestPayloadError, ConnectionError) as error:
            raise invalid(f"The body did not arrive whole: {error}") from None

    def _get(self, method: str, model: Model) -> str:
        if method == "status":
            return to_json(model_status(self._versions, *model))
        with self._versions.acquire(*model) as version:
            return metadata_json(model_metadata(self._versions, version), version)

    def _post(self, method: str, model: Model, body: bytes) -> bytes:
        with self._versions.acquire(*model) as version:
            if method == "regress":
                raise RequestError("FAILED_PRECONDITION", "Regression is not served: no signature answers with it.")
            with self._large_body if len(body) > _SMALL_BODY else contextlib.nullcontext():
                document = parse_json(body)
                name = document.get("signature_name") or DEFAULT_SIGNATURE
                if method == "classify":
                    examples = classify_examples(document)
                else:
                    signature = version.signature(name, "rest")
                    dtypes = {alias: tensor.dtype for alias, tensor in signature.inputs.items()}
                    inputs, by_rows = predict_inputs(document, dtypes)
                del document, body
            if method == "classify":
                return classify_answer(*run_classify(version, name, examples))
            return predict_answer(version.run(signature, inputs), by_rows)


def _model(match: re.Match) -> Model:
    """Name, version or None, and label or "" of the model that a path names."""
    digits = match["number"]
    if digits and (len(digits) > 19 or int(digits) >= 2**63):
        raise invalid(f"Failed to convert version: {digits} to numeric.")
    return unquote(match["name"]), int(digits) if digits else None, unquote(match["label"] or "")


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        text=json.dumps({"error": message}),
        content_type="application/json",
        headers={**_HEADERS, **(headers or {})},
    )


def _load_page(name: str, max_bytes: int) -> tuple[str, str]:
    """The page and its Content-Security-Policy: it runs and loads nothing but what is written in it."""
    with open(os.path.join(os.path.dirname(__file__), "page.html"), encoding="utf-8") as file:
        page = file.read()
    hashes = {}
    for element in ("style", "script"):
        (text,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
        hashes[element] = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{hashes['script']}'; style-src 'sha256-{hashes['style']}'; "
        "connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    page = page.replace("{{model}}", html.escape(name)).replace("{{max_bytes}}", str(max_bytes))
    return page, policy
