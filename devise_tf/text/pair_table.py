"""A hash table of number pairs that works on whole arrays."""

import numpy as np

_MIN_SLOTS = 1 << 10


class PairTable:
    """Numbers different pairs of 64-bit integers by the order of their first occurrence: 0, 1, 2, …

    Open addressing with linear probing in NumPy arrays, so that a call looks up a million pairs at a few nanoseconds
    each, without a Python object for any. The slots hold numbers only and the pairs lie in the order of their numbers,
    so that frequent ones, which occur early, share few cache lines. A pair takes 24 to 40 bytes, and more for a moment
    while the table grows.

    Attributes:
        size: Integer. Number of different pairs.

    Example:

    >>> table = PairTable()
    >>> table.add(np.array([5, 5, 7], np.uint64), np.array([1, 1, 0], np.uint64))
    (array([0, 0, 1], dtype=int32), array([0, 2]))
    """

    def __init__(self) -> None:
        self.size = 0
        self._first: np.ndarray
        self._second: np.ndarray
        self._slots: np.ndarray
        self._mask: int
        self._clear(_MIN_SLOTS, 0)

    def find(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Looks up pairs.

        Args:
            first: `np.uint64`, shape `[N]`.
            second: uint64 [N]. The same of the pairs' other halves.

        Returns:
            `np.int32`, shape `[N]`: the pairs' numbers, -1 for those that are not in the table.
        """
        slots = self._hash(first, second)
        ids = self._slots.take(slots)
        # An empty slot's -1 reads the pairs' last row, which is never in use.
        pending = np.flatnonzero(((self._first.take(ids) != first) | (self._second.take(ids) != second)) & (ids >= 0))
        while pending.size:
            slots[pending] = next_slots = (slots[pending] + 1) & self._mask
            ids[pending] = numbers = self._slots[next_slots]
            other = (self._first[numbers] != first[pending]) | (self._second[numbers] != second[pending])
            pending = pending[other & (numbers >= 0)]
        return ids

    def add(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Looks up pairs, and adds those that are missing.

        Returns:
            Their numbers, as `find` gives them, and the positions where a new pair occurs first, in order.
        """
        ids = self.find(first, second)
        missing = np.flatnonzero(ids < 0)
        if not missing.size:
            return ids, missing
        self._reserve(self.size + missing.size)
        pending, slots = missing, self._hash(first[missing], second[missing])
        positions, new_slots = [], []
        size = self.size
        while pending.size:
            empty = np.flatnonzero(self._slots[slots] < 0)
            # Of all that ask for an empty slot the first gets it: the last assignment is the one that stays.
            marks = (-2 - pending[empty]).astype(np.int32)
            self._slots[slots[empty][::-1]] = marks[::-1]
            won = empty[self._slots[slots[empty]] == marks]
            ids_won = np.arange(size, size + won.size, dtype=np.int32)
            self._slots[slots[won]] = ids_won
            self._first[ids_won] = first[pending[won]]
            self._second[ids_won] = second[pending[won]]
            size += won.size
            positions.append(pending[won])
            new_slots.append(slots[won])
            numbers = self._slots[slots]
            other = (self._first[numbers] != first[pending]) | (self._second[numbers] != second[pending])
            pending, slots = pending[other], (slots[other] + 1) & self._mask
        new = np.sort(np.concatenate(positions))
        order = np.argsort(np.concatenate(positions))
        self._slots[np.concatenate(new_slots)[order]] = np.arange(self.size, size, dtype=np.int32)
        self._first[self.size : size] = first[new]
        self._second[self.size : size] = second[new]
        self.size = size
        ids[missing] = self.find(first[missing], second[missing])
        return ids, new

    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        """The halves of all pairs, by number."""
        return self._first[: self.size].copy(), self._second[: self.size].copy()

    def reset(self, first: np.ndarray, second: np.ndarray) -> None:
        """Replaces all pairs by these, which must differ from each other."""
        self._clear(_MIN_SLOTS, 0)
        self.add(first, second)

    def _clear(self, slots: int, capacity: int) -> None:
        self.size = 0
        self._mask = slots - 1
        self._shift = np.uint64(65 - slots.bit_length())
        self._slots = np.full(slots, -1, np.int32)
        self._first, self._second = np.zeros((2, capacity + 1), np.uint64)

    def _reserve(self, size: int) -> None:
        """Makes room for so many pairs, with at least half of the slots empty."""
        if size >= self._first.size:
            capacity = max(size, self.size * 5 // 4)
            self._first, self._second = (
                np.concatenate([half[: self.size], np.zeros(capacity + 1 - self.size, np.uint64)])
                for half in (self._first, self._second)
            )
        slots = self._mask + 1
        if 2 * size > slots:
            first, second = self.keys()
            self._clear(1 << (2 * size - 1).bit_length(), max(size, self._first.size - 1))
            if first.size:
                self.add(first, second)

    def _hash(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Slots: the upper bits of a product, in which all bits of the pair take part."""
        mixed = second * np.uint64(0xC2B2AE3D27D4EB4F)
        mixed ^= first
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        mixed >>= self._shift
        return mixed.view(np.int64)
