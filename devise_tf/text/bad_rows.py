"""The rows of a vector file that cannot be read."""

_SHOWN = 5


class BadRows:
    """Counts rows that are left out because they cannot be read.

    Args:
        limit: Integer. Most rows that may be left out.

    Attributes:
        count: Integer. The number so far.
        terms: Set of strings. The terms of those whose values cannot be read.
    """

    def __init__(self, limit: int):
        if limit < 0:
            raise ValueError(f"`max_bad_rows` must not be negative. Received: max_bad_rows={limit}")
        self.limit = limit
        self.count = 0
        self.terms: set[str] = set()
        self._messages: list[str] = []
        self._rest = ""

    def add(self, message: str, number: int = 1) -> None:
        """Counts a row, or more.

        Args:
            message: String. What is wrong, with the row's position and term.
            number: Integer. How many rows that are.

        Raises:
            ValueError: These are more than may be left out.
        """
        self.count += number
        if self.count > self.limit:
            raise ValueError(
                f"{message} Bad rows so far: {self.count}, of which `max_bad_rows` allows {self.limit}"
                f"{f'; the first: {self._messages[0]}' if self._messages else '.'}"
            )
        if len(self._messages) < _SHOWN:
            self._messages.append(message)
        else:
            self._rest = " …"

    def __str__(self) -> str:
        """What was wrong with the first ones, and with how many."""
        noun = "bad row" if self.count == 1 else "bad rows"
        return f"{self.count} {noun}: {' '.join(self._messages)}{self._rest}"
