"""Counts in bounded memory."""

import numpy as np


class BoundedCounts:
    """How often each number occurred, where the rarest are forgotten when there are too many.

    Args:
        max_entries: Integer. When there are more than this, those counted only once are to be forgotten, then those
            counted at most twice, and so on, until a quarter of the room is free.
        protected: Integer. The first numbers are never forgotten and do not count for `max_entries`.

    Attributes:
        values: `np.int64`, shape `[size]`.
    """

    def __init__(self, max_entries: int, protected: int = 0):
        self._max_entries, self._protected = max_entries, protected
        self._floor = 0
        self._counts = np.zeros(1 << 10, np.int64)
        self._size = 0

    @property
    def values(self) -> np.ndarray:
        return self._counts[: self._size]

    def add(self, ids: np.ndarray, size: int) -> None:
        """Counts numbers below `size`, which must not shrink but by `forget`."""
        if size > self._counts.size:
            grown = np.zeros(max(size, self._counts.size * 3 // 2), np.int64)
            grown[: self._size] = self.values
            self._counts = grown
        self._size = size
        np.add.at(self._counts, ids, 1)

    def forget(self, now: bool = False) -> np.ndarray | None:
        """Forgets the rarest where there are too many.

        Args:
            now: Boolean. Whether to forget some even if there are not too many.

        Returns:
            None if nothing was forgotten, else `bool`, shape `[size]` of before: which numbers remain. Those are
            renumbered, in order, from now on.
        """
        if not now and self._size <= self._max_entries + self._protected:
            return None
        while True:
            self._floor += 1
            frequent = self.values > self._floor
            frequent[: self._protected] = True
            if np.count_nonzero(frequent) <= 0.75 * self._max_entries + self._protected:
                break
        self.keep(frequent)
        return frequent

    def keep(self, mask: np.ndarray) -> None:
        """Forgets the numbers where `mask`, bool of shape `[size]`, is false."""
        values = self.values[mask]
        self._size = values.size
        self._counts[: self._size] = values
        self._counts[self._size :] = 0
