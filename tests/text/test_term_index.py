"""Terms as people write them."""

import pytest

from devise_tf.text import WORDS, get_tokenizer
from devise_tf.text.term_index import COMPOSED, FOLDED, SPELLED, UNKNOWN, TermFilter, TermIndex, core_words, split_terms

TERMS = [
    "snow_leopard", "snow", "leopard", "cub", "Hund", "hund", "Katze", "New_York", "kite", "bird", "of", "prey", "a",
    "photo", "photos", "the", "bird_of_prey", "cherry", "glass", "fireman", "माला", "मेला", "café", "Kite_(toy)", "3d",
    "magpie", "hen_of_the_woods", "the_snow",
]  # fmt: skip
INDEX = TermIndex({term: row for row, term in enumerate(TERMS)})
EARLIER = TermIndex({term: row for row, term in enumerate(TERMS)}, get_tokenizer("unnormalized_words"))


@pytest.mark.parametrize(
    ("text", "terms", "how"),
    [
        # As it is spelled.
        ("Hund", ["Hund"], SPELLED),
        ("hund", ["hund"], SPELLED),
        ("snow leopard", ["snow_leopard"], SPELLED),
        ("  snow \t leopard ", ["snow_leopard"], SPELLED),
        ("Kite (toy)", ["Kite_(toy)"], SPELLED),
        ("माला", ["माला"], SPELLED),
        ("a", ["a"], SPELLED),
        # Folded: the term that is spelled so, else the first.
        ("HUND", ["hund"], FOLDED),
        ("katze", ["Katze"], FOLDED),
        ("new-york", ["New_York"], FOLDED),
        ("Snow-Leopard", ["snow_leopard"], FOLDED),
        ("cafe\u0301", ["café"], FOLDED),
        ("kite toy", ["Kite_(toy)"], FOLDED),
        ("\uff13\uff24", ["3d"], FOLDED),  # full-width
        # Without what people write around a name.
        ("the snow leopard", ["snow_leopard"], FOLDED),
        ("a photo of a snow leopard", ["snow_leopard"], FOLDED),
        ("A photo of the Snow Leopards.", ["snow_leopard"], FOLDED),
        ("a blurry black and white photo of many snow leopards", ["snow_leopard"], FOLDED),
        ("kite (bird of prey)", ["kite"], FOLDED),
        ("kite [bird]", ["kite"], FOLDED),
        ("photo of a photo", ["photo"], FOLDED),
        # English plurals.
        ("cherries", ["cherry"], FOLDED),
        ("glasses", ["glass"], FOLDED),
        ("firemen", ["fireman"], FOLDED),
        ("magpies", ["magpie"], FOLDED),
        ("photos", ["photos"], SPELLED),
        # In one word, or in two.
        ("snowleopard", ["snow_leopard"], FOLDED),
        ("NewYork", ["New_York"], FOLDED),
        ("birdofprey", ["bird_of_prey"], FOLDED),
        ("fire man", ["fireman"], FOLDED),
        ("mag pies", ["magpie"], FOLDED),
        ("a mag-pie cub", ["magpie", "cub"], COMPOSED),
        ("snowleopards", ["snow_leopard"], FOLDED),
        ("ma gpie", [], UNKNOWN),
        # In parts, the longest first, from left to right.
        ("snow leopard cub", ["snow_leopard", "cub"], COMPOSED),
        ("snow leopard cubs", ["snow_leopard", "cub"], COMPOSED),
        ("leopard snow", ["leopard", "snow"], COMPOSED),
        ("the cub of a snow leopard", ["cub", "of", "snow_leopard"], COMPOSED),
        ("the hen of the woods", ["hen_of_the_woods"], FOLDED),
        ("hen of the snow", [], UNKNOWN),
        ("the snow cub", ["snow", "cub"], COMPOSED),
        ("the the", ["the"], FOLDED),
        ("a the the", ["the", "the"], COMPOSED),
        ("the an", [], UNKNOWN),
        ("snow bird of prey", ["snow", "bird_of_prey"], COMPOSED),
        # Unknown.
        ("okapi", [], UNKNOWN),
        ("snow okapi", [], UNKNOWN),
        ("?!", [], UNKNOWN),
        ("", [], UNKNOWN),
    ],
)
def test_terms_are_found(text, terms, how):
    found = INDEX.find(text)
    assert ([TERMS[row] for row in found.rows], found.how) == (terms, how)
    assert found.is_whole == (how in (SPELLED, FOLDED))
    # What a file needs to have for it is let through, and no other term is.
    wanted = TermFilter([text])
    kept = {term: row for row, term in enumerate(TERMS) if term in wanted}
    assert TermIndex(kept).find(text) == found
    assert "okapi_cub" not in wanted


def test_a_whole_term_goes_before_a_composed_one():
    assert INDEX.first(["snow bird", "okapi", "Katze"]) == ([TERMS.index("Katze")], SPELLED)
    assert INDEX.first(["okapi", "snow bird", "bird cub"]).rows == [1, 9]
    assert INDEX.first(["okapi"]) == INDEX.first([]) == ([], UNKNOWN)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Snow leopard", ["snow_leopard"]),
        ("HUND", ["hund"]),
        ("Katze", []),
        ("snow leopard cub", ["snow", "leopard", "cub"]),
        ("the snow leopard", ["the", "snow", "leopard"]),
        ("cherries", []),
        ("kite (bird of prey)", ["kite", "bird", "of", "prey"]),
    ],
)
def test_the_rule_of_earlier_versions_finds_folded_terms_and_single_words(text, terms):
    assert [TERMS[row] for row in EARLIER.find(text).rows] == terms
    wanted = TermFilter([text], EARLIER.tokenizer)
    kept = {term: row for row, term in enumerate(TERMS) if term in wanted}
    assert TermIndex(kept, EARLIER.tokenizer).find(text) == EARLIER.find(text)


def test_terms_of_a_text():
    assert split_terms("tench, Tinca tinca") == ["tench", "Tinca tinca"]
    assert split_terms(" tench ,, ?,") == ["tench"]
    assert split_terms("?") == []


def test_what_is_left_of_prompts():
    for text, words in {
        "a bad photo of a snow leopard": "snow leopard",
        "itap of the cub": "cub",
        "a rendering of one cub": "cub",
        "a centered satellite photo of a forest": "forest",
        "work of art": "work of art",
        "the": "the",
        "(cub)": "cub",
        "a photo of": "a photo of",
    }.items():
        assert core_words(text, WORDS) == words.split()
