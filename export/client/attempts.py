"""What an attempt at a request may end in, and how long to wait before the next."""

import random
import re

# Seconds between attempts: the first pause, which doubles each time, and the longest.
FIRST_DELAY, MAX_DELAY = 0.2, 5.0


class Failure(Exception):
    """An attempt that failed.

    Args:
        code: str. Name of the gRPC status.
        message: str. What was wrong.
        transient: bool. Whether another attempt may succeed.
        retry_after: float. Seconds before which it will not.
    """

    def __init__(self, code: str, message: str, transient: bool = False, retry_after: float = 0.0):
        super().__init__(message)
        self.code, self.message, self.transient, self.retry_after = code, message, transient, retry_after


def address(host: str, port: int) -> str:
    """`HOST:PORT`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def pause_before(attempt: int) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 0), varied so that clients do not come together."""
    return min(FIRST_DELAY * 2.0**attempt, MAX_DELAY) * random.uniform(0.5, 1)


def first_line(message: str) -> str:
    """The first line of an error of TensorFlow's that says something, without the graph's node."""
    lines = [re.sub(r"\[\[\{\{.*", "", line).strip() for line in message.splitlines()]
    line = next((line for line in lines if line and not re.search(r"root error\(s\) found", line)), message)
    return line if len(line) <= 300 else f"{line[:300]}…"
