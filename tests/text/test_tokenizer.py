import random
import subprocess
import sys
import unicodedata

import pytest

from devise_tf.text import normalize_term, tokenize

NASTY = [
    "",
    " \t\r\n",
    "The snow-leopard's 2 cubs.",
    "under_score __init__ a_1",
    "naïve Ÿ ÀÉÎÕÜ cafe\u0301",
    "İstanbul ISPARTA ısı",
    "ΟΔΥΣΣΕΥΣ ΣΊΣΥΦΟΣ Σ ΑΣ. ΑΣ'Α Σ́Α ΑΣ\u00adΑ",
    "STRASSE straße GROẞ",
    "雪豹和小猫 スノーレパード 눈표범",
    "हिन्दी नमस्ते १२३",
    "m² ½ Ⅷ ⓐ x₂ ª º ﬁ ǅ",
    "🐆cat👩‍👩‍👧dog 1️⃣",
    "a\u200db\u00a0c\u3000d\u2028e\x85f\x1cg\x0bh",
    "Ά\u0345ΐ ŉ Ǆ",
    "100,000.5 3.14e-10 U.S.A. AT&T",
    "\ufffd\ufeffbom",
]


def tensorflow_words(texts):
    import tensorflow as tf

    lower = tf.strings.lower(tf.constant([text.encode() for text in texts]), encoding="utf-8")
    words = tf.strings.split(tf.strings.regex_replace(lower, r"[^\p{L}\p{N}]+", " ")).to_list()
    return [[word.decode() for word in line] for line in words]


def test_tokenize_gives_lower_case_letters_and_numbers():
    assert tokenize("The snow-leopard's 2 cubs, under_score") == [
        "the", "snow", "leopard", "s", "2", "cubs", "under", "score",
    ]  # fmt: skip
    assert tokenize("ΣΊΣΥΦΟΣ cafe\u0301 m²") == ["σίσυφος", "cafe", "m²"]
    assert tokenize("") == tokenize("_ -\n") == []


def test_same_words_as_tensorflow():
    assert [tokenize(text) for text in NASTY] == tensorflow_words(NASTY)


def test_same_words_as_tensorflow_for_random_text():
    rng = random.Random(0)
    alphabet = "".join(NASTY)
    texts = ["".join(rng.choices(alphabet, k=rng.randint(1, 12))) for _ in range(20_000)]
    assert [tokenize(text) for text in texts] == tensorflow_words(texts)


def test_same_words_as_tensorflow_for_every_character():
    """Only letters newer than one of the two Unicode tables may differ; Unicode 3.2 (2002) knew none of them.

    No plane above the third holds letters or numbers.
    """
    characters = [chr(code) for code in range(1, 0x33480) if not 0xD800 <= code < 0xE000]
    texts = [f"A{character}B" for character in characters]
    differing = [text[1] for text, words in zip(texts, tensorflow_words(texts), strict=True) if tokenize(text) != words]
    assert [c for c in differing if unicodedata.ucd_3_2_0.category(c) != "Cn"] == []
    assert len(differing) < 0.05 * len(characters)


def test_ascii_and_other_text_agree():
    """A letter that is not ASCII, set apart, must not change the words beside it."""
    text = "".join(map(chr, range(1, 128))) + "Ab_c-D"
    assert tokenize(text + " é") == tokenize(text) + ["é"]


def test_normalize_term():
    assert normalize_term("Snow leopard") == "snow_leopard"
    assert normalize_term(" St. Bernard's-dog ") == "st_bernard_s_dog"
    assert normalize_term(normalize_term("Snow leopard")) == "snow_leopard"
    assert normalize_term("Cat") == "cat"


@pytest.mark.parametrize("text", ["", "_", "?!"])
def test_normalize_term_needs_a_word(text):
    with pytest.raises(ValueError, match="Received: text="):
        normalize_term(text)


def test_import_loads_neither_tensorflow_nor_keras():
    code = "import devise_tf.text, sys; print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
