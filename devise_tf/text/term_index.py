"""Terms as people write them, to the rows of terms that have vectors."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from devise_tf.text.tokenizer import WORDS, Tokenizer

# How a term was found.
SPELLED, FOLDED, COMPOSED, UNKNOWN = "as spelled", "folded", "composed", "unknown"
# Words of the longest part that a term is composed of.
MAX_PART_WORDS = 6

# Rewritings of text, each a pattern and what takes its place, in the syntax that Python's `re` and RE2 share: exported
# graphs use them too. Of the text itself: what stands in brackets.
BRACKETS = (r"\([^()]*\)|\[[^\[\]]*\]|（[^（）]*）|【[^【】]*】", " ")
# Of words joined by "_", with one before the first and behind the last: prompts such as "a photo of a", or an article.
_PICTURES = (
    "art|doodles?|drawings?|graffiti|illustrations?|images?|itap|paintings?|photographs?|photos?|pictures?|renderings?|"
    "sculptures?|shots?|sketch|sketches|snapshots?|tattoos?"
)
PROMPT = (
    rf"^_(?:(?:[^_]+_){{0,6}}?(?:{_PICTURES})_of_(?:(?:an?|many|multiple|my|one|some|the|this|your)_)?|(?:an?|the)_)",
    "_",
)
# Of the last word: English plurals to singulars, tried in this order.
PLURALS = (
    (r"([^_]{2})ies$", r"\1y"),
    (r"(ch|sh|ss|x|zz|to)es$", r"\1"),
    (r"([^_])men$", r"\1man"),
    (r"([^_]{2}[^_s])s$", r"\1"),
)
# Of a part of two words: both in one. Shorter words would make others by chance ("in to", "a part").
ONE_WORD = (r"^([^_]{3,})_([^_]{3,})$", r"\1\2")
# Words that are left out of a composed term, unless they begin a longer part.
ARTICLES = ("a", "an", "the")
_BRACKETS = re.compile(BRACKETS[0]), BRACKETS[1]
_PROMPT = re.compile(PROMPT[0]), PROMPT[1]
_ONE_WORD = re.compile(ONE_WORD[0]), ONE_WORD[1]
_PLURALS = [(re.compile(pattern), by) for pattern, by in PLURALS]


class FoundTerm(NamedTuple):
    """What a term's vector is made of.

    Attributes:
        rows: List of integers. The row of the term; of several parts, whose mean it is; none if it is unknown.
        how: String. `SPELLED`, `FOLDED`, `COMPOSED` or `UNKNOWN`.
    """

    rows: list[int]
    how: str

    @property
    def is_whole(self) -> bool:
        return self.how in (SPELLED, FOLDED)


NOT_FOUND = FoundTerm([], UNKNOWN)


class TermIndex:
    """Finds the vectors of terms.

    A term is looked for as it is spelled, with "_" for spaces; then folded, as its tokenizer normalizes it, among the
    terms and then among their folded forms, of which the first counts ("new york" -> `New_York`), or those without
    their spaces ("snowleopard"). If that fails, what people write around names is dropped: brackets ("kite (bird of
    prey)") and prompts ("a photo of a snow leopard"). What is left is read from left to right, the longest known part
    first ("snow leopard cub" -> `snow_leopard`, `cub`); an English plural that is unknown counts as its singular, words
    that are one word in the vectors as that ("motor bike" -> `motorbike`), and articles are passed over. One part alone
    is the whole term.

    A tokenizer of earlier versions finds folded terms and compositions of single words alone.

    Args:
        rows: Mapping from str to int. Terms that have vectors and their rows; of those that are folded alike the first
            counts.
        tokenizer: `Tokenizer`. The rule by which terms become words.

    Example:

    >>> index = TermIndex({"snow_leopard": 0, "cub": 1, "Hund": 2})
    >>> index.find("a photo of the Snow Leopards")
    FoundTerm(rows=[0], how='folded')
    >>> index.find("snow leopard cub").rows
    [0, 1]
    """

    def __init__(self, rows: Mapping[str, int], tokenizer: Tokenizer = WORDS):
        self.rows, self.tokenizer = rows, tokenizer

    def __contains__(self, term: object) -> bool:
        return term in self.rows

    @cached_property
    def folded_rows(self) -> dict[str, int]:
        """Rows by folded term, and then by that without spaces, of those whose form is no term itself.

        None for an earlier tokenizer.
        """
        folded: dict[str, int] = {}
        if self.tokenizer.finds_parts:
            keys = {term: folded_key(term) for term in self.rows}
            for separator in ("_", ""):
                for term, row in self.rows.items():
                    key = keys[term].replace("_", separator)
                    if key and key not in self.rows:
                        folded.setdefault(key, row)
        return folded

    def row(self, key: str) -> int | None:
        """The row of a folded term."""
        row = self.rows.get(key)
        return self.folded_rows.get(key) if row is None else row

    def find(self, term: str) -> FoundTerm:
        """What the vector of a term is made of."""
        words = self.tokenizer.tokenize(term)
        if not words:
            return NOT_FOUND
        if not self.tokenizer.finds_parts:
            return self._find_words(words)
        if (row := self.rows.get(spelled_key(term))) is not None:
            return FoundTerm([row], SPELLED)
        if (row := self.row("_".join(words))) is not None:
            return FoundTerm([row], FOLDED)
        rows = self._parts(core_words(term, self.tokenizer))
        return FoundTerm(rows, FOLDED if len(rows) == 1 else COMPOSED) if rows else NOT_FOUND

    def first(self, terms: Iterable[str]) -> FoundTerm:
        """What the vector of a label is made of: its first term that is found whole, else the first that is found."""
        found = [self.find(term) for term in terms]
        known = [term for term in found if term.rows]
        return next((term for term in known if term.is_whole), known[0] if known else NOT_FOUND)

    def _find_words(self, words: list[str]) -> FoundTerm:
        if (row := self.rows.get("_".join(words))) is not None:
            return FoundTerm([row], FOLDED)
        known = [self.rows[word] for word in words if word in self.rows]
        return FoundTerm(known, COMPOSED) if len(known) == len(words) else NOT_FOUND

    def _parts(self, words: list[str]) -> list[int]:
        """Rows of the longest known parts, from left to right; none if a word is left over."""
        rows: list[int] = []
        start = 0
        only_articles = set(words) <= set(ARTICLES)
        while start < len(words):
            for end in range(min(len(words), start + MAX_PART_WORDS), start, -1):
                row = self._row_or_singular("_".join(words[start:end]))
                is_article = not only_articles and end == start + 1 and words[start] in ARTICLES
                if row is not None and not is_article:
                    rows.append(row)
                if row is not None or is_article:
                    start = end
                    break
            else:
                return []
        return rows

    def _row_or_singular(self, key: str) -> int | None:
        forms = dict.fromkeys((key, in_one_word(key)))
        rows = (self.row(name) for form in forms for name in (form, *singulars(form)))
        return next((row for row in rows if row is not None), None)


class TermFilter:
    """The terms that the vectors of some labels may be made of, as a container: a file's other terms need no memory.

    Args:
        terms: Strings. Terms of labels, in any spelling.
        tokenizer: `Tokenizer`. The rule by which terms become words.
    """

    def __init__(self, terms: Iterable[str], tokenizer: Tokenizer = WORDS):
        self._folds = tokenizer.finds_parts
        self._keys: set[str] = set()
        for term in terms:
            self._keys.update(_keys(term, tokenizer))

    def __contains__(self, term: object) -> bool:
        if not isinstance(term, str):
            return False
        if term in self._keys or not self._folds:
            return term in self._keys
        key = folded_key(term)
        return key in self._keys or key.replace("_", "") in self._keys

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TermFilter) and (self._keys, self._folds) == (other._keys, other._folds)

    def __hash__(self) -> int:
        return hash((frozenset(self._keys), self._folds))


def _keys(term: str, tokenizer: Tokenizer) -> Collection[str]:
    """All that a term may be looked up by."""
    words = tokenizer.tokenize(term)
    if not tokenizer.finds_parts:
        return [*words, "_".join(words)]
    core = core_words(term, tokenizer)
    parts = [
        "_".join(core[start:end])
        for start in range(len(core))
        for end in range(start + 1, min(len(core), start + MAX_PART_WORDS) + 1)
    ]
    parts += list(map(in_one_word, parts))
    singular_parts = (name for part in parts for name in singulars(part))
    return [spelled_key(term), "_".join(words), *parts, *singular_parts]


def split_terms(text: str) -> list[str]:
    """The terms of a text that names a label: `"tench, Tinca tinca"` has two. Those without words are left out."""
    return [term.strip() for term in text.split(",") if WORDS.key(term)]


def spelled_key(term: str) -> str:
    """A term as it is spelled, with "_" for white space."""
    return "_".join(term.split())


def folded_key(term: str) -> str:
    """The folded form of a term of a vector file: by the default rule, whose words the others only cut further."""
    return WORDS.key(term)


def core_words(term: str, tokenizer: Tokenizer) -> list[str]:
    """The words of a term without brackets and prompts; all of them where nothing else is left."""
    pattern, by = _BRACKETS
    words = tokenizer.tokenize(pattern.sub(by, term)) or tokenizer.tokenize(term)
    pattern, by = _PROMPT
    return list(filter(None, pattern.sub(by, f"_{'_'.join(words)}_").split("_"))) or words


def in_one_word(key: str) -> str:
    """A folded term of two words as one; any other as it is."""
    pattern, by = _ONE_WORD
    return pattern.sub(by, key)


def singulars(key: str) -> list[str]:
    """What may be the English singular of a term whose last word is a plural."""
    names = (pattern.sub(by, key) for pattern, by in _PLURALS)
    return [name for name in names if name != key]


def index_rows(terms: Sequence[str]) -> dict[str, int]:
    """The rows of terms, in order."""
    return {term: row for row, term in enumerate(terms)}
