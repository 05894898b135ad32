"""Which requests are let in, and the counts of all of them."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import prometheus_client
from absl import logging

from devise_tf.export.server.request_error import RequestError

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class RequestGate:
    """Lets a bounded number of requests run at the same time, and measures them for Prometheus.

    | metric | labels | |
    |---|---|---|
    | `devise_serving_requests_total` | `api` (grpc, rest), `method`, `code` (as gRPC names it) | requests answered |
    | `devise_serving_request_seconds` | `api`, `method` | histogram of the time they took |
    | `devise_serving_requests_in_flight` | | predict and classify requests that are running |
    | `devise_serving_model_version` | | the version that is served, 0 for none |

    Args:
        limit: int. Most requests that run at the same time.
        served: Callable. Gives the version that is served, or None.

    Attributes:
        registry: prometheus_client.CollectorRegistry. The metrics.
    """

    def __init__(self, limit: int, served: Callable[[], int | None]):
        self._limit = limit
        self._lock = threading.Lock()
        self._in_flight = 0
        self.registry = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "devise_serving_requests", "Requests answered.", ["api", "method", "code"], registry=self.registry
        )
        self._seconds = prometheus_client.Histogram(
            "devise_serving_request_seconds",
            "Time from a request to its answer.",
            ["api", "method"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        prometheus_client.Gauge(
            "devise_serving_requests_in_flight", "Requests that are running.", registry=self.registry
        ).set_function(lambda: self.in_flight)
        prometheus_client.Gauge(
            "devise_serving_model_version", "The version that is served, 0 for none.", registry=self.registry
        ).set_function(lambda: served() or 0)

    @property
    def in_flight(self) -> int:
        """Number of requests that are running, of those that are limited."""
        return self._in_flight

    @contextlib.contextmanager
    def admit(self, api: str, method: str, limited: bool = True) -> Iterator[None]:
        """Surrounds the answering of a request.

        Args:
            api: str. `grpc` or `rest`.
            method: str. Name of the method.
            limited: bool. Whether it counts among those that run at the same time.

        Raises:
            RequestError: RESOURCE_EXHAUSTED, too many are running; INTERNAL, in place of any other exception, which
                is logged.
        """
        start, code = time.perf_counter(), "OK"
        with self._lock:
            admitted = not limited or self._in_flight < self._limit
            self._in_flight += limited and admitted
        try:
            if not admitted:
                message = f"{self._limit} requests are already running: try again, or raise --max_in_flight."
                raise RequestError("RESOURCE_EXHAUSTED", message, http_status=503)
            yield
        except RequestError as error:
            code = error.code
            raise
        except Exception:
            code = "INTERNAL"
            logging.exception("A %s request failed.", method)
            raise RequestError(code, "The server failed to answer; its log says why.") from None
        except BaseException:
            code = "CANCELLED"
            raise
        finally:
            with self._lock:
                self._in_flight -= limited and admitted
            self._requests.labels(api, method, code).inc()
            self._seconds.labels(api, method).observe(time.perf_counter() - start)
