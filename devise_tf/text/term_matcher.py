"""Words to terms."""

from collections.abc import Iterable

from devise_tf.text.tokenizer import normalize_term


class TermMatcher:
    """Joins the words of multi-word terms: the longest match, from left to right.

    At each word, the longest term that begins there wins and matching goes on behind it, so "snow leopard cub" with
    the terms "snow leopard" and "leopard cub" gives `["snow_leopard", "cub"]`.

    Args:
        terms: Strings. The terms, in any spelling that `normalize_term` accepts. Single-word terms need no matching
            and are ignored.

    Call arguments:
        words: List of words, as `tokenize` gives them.

    Returns of a call:
        List of terms; it may be `words` itself where nothing matched.

    Example:

    >>> TermMatcher(["snow leopard", "Leopard cub"])(["a", "snow", "leopard", "cub"])
    ['a', 'snow_leopard', 'cub']
    """

    def __init__(self, terms: Iterable[str]):
        if isinstance(terms, str):
            raise ValueError(f"`terms` must be a collection of terms, not one string. Received: terms={terms!r}")
        entries = {term for term in map(normalize_term, terms) if "_" in term}
        # First word -> second word -> [(number of words, the words after the second, term)], longest first.
        # Looking at two words at once drops nearly all positions, however common a first word ("the", "new") is.
        self._starts: dict[str, dict[str, list[tuple[int, list[str], str]]]] = {}
        for term in sorted(entries, key=lambda term: (-term.count("_"), term)):
            first, second, *rest = term.split("_")
            candidates = self._starts.setdefault(first, {}).setdefault(second, [])
            candidates.append((2 + len(rest), rest, term))

    def __call__(self, words: list[str]) -> list[str]:
        starts = self._starts
        pairs = zip(words, words[1:], strict=False)
        hits = [i for i, (first, second) in enumerate(pairs) if first in starts and second in starts[first]]
        terms = []
        position = 0
        for hit in hits:
            if hit < position:
                continue
            for length, rest, term in starts[words[hit]][words[hit + 1]]:
                if length == 2 or words[hit + 2 : hit + length] == rest:
                    terms += words[position:hit]
                    terms.append(term)
                    position = hit + length
                    break
        if not position:
            return words
        terms += words[position:]
        return terms
