import pickle
import random
import subprocess
import sys
import unicodedata

import pytest

from devise_tf.text import get_tokenizer, normalize_term, tokenize

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


def folded_by_icu(texts):
    """Words by the definition, with TensorFlow Text's NFKC_Casefold, which is ICU's, and categories of characters."""
    import tensorflow as tf
    import tensorflow_text as tf_text

    apart = [text.replace("\u200b", " ").encode() for text in texts]
    folded = [text.decode() for text in tf_text.case_fold_utf8(tf.constant(apart)).numpy()]
    return [words_of_categories(text, "LN", "LNM") for text in folded]


def words_of_categories(text, first, others):
    """Words that begin with a character of some categories and go on with those of others."""
    words, inside = [], False
    for character in text:
        category = unicodedata.category(character)[0]
        if inside and category in others:
            words[-1] += character
        else:
            inside = category in first
            words += [character] if inside else []
    return words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The snow-leopard's 2 cubs, under_score", "the snow leopard s 2 cubs under score"),
        ("ΣΊΣΥΦΟΣ cafe\u0301 m²", "σίσυφοσ café m2"),
        ("Straße STRASSE ﬁn Ⅷ ㎏", "strasse strasse fin viii kg"),
        ("माला मेला मूली मील", "माला मेला मूली मील"),
        ("co\u00adoperate क्\u200dष แมว\u200bหมา", "cooperate क्ष แมว หมา"),
        ("\u0301a \u0301 x\u20d0y", "a x\u20d0y"),  # marks belong to the letter before them, if there is one
        ("雪豹 ゆきヒョウ", "雪豹 ゆきヒョウ"),
        ("_ -\n", ""),
        ("", ""),
    ],
)
def test_words(text, words):
    assert tokenize(text) == words.split()


def test_words_are_those_of_icu():
    rng = random.Random(0)
    alphabet = "".join(NASTY) + "\u0301\u0345\u093f\u0940\u200d\u200c\u1100\u1161\u11a8"
    texts = NASTY + ["".join(rng.choices(alphabet, k=rng.randint(1, 12))) for _ in range(20_000)]
    texts = [text.replace("\0", "") for text in texts]  # at which ICU's text ends
    for text, expected in zip(texts, folded_by_icu(texts), strict=True):
        assert tokenize(text) == expected, repr(text)


def test_words_are_those_of_icu_for_every_character():
    """Only letters newer than one of the two Unicode tables may differ; Unicode 3.2 (2002) knew none of them."""
    characters = [chr(code) for code in range(1, 0x33480) if not 0xD800 <= code < 0xE000]
    texts = [f"A{character}B" for character in characters]
    differing = [text[1] for text, words in zip(texts, folded_by_icu(texts), strict=True) if tokenize(text) != words]
    assert [c for c in differing if unicodedata.ucd_3_2_0.category(c) != "Cn"] == []
    assert len(differing) < 0.005 * len(characters)


def test_the_rule_of_earlier_versions():
    """Lower case, and only letters and numbers: marks separate, and nothing is normalized."""
    earlier = get_tokenizer("unnormalized_words")
    rng = random.Random(0)
    texts = NASTY + ["".join(rng.choices("".join(NASTY), k=rng.randint(1, 12))) for _ in range(5_000)]
    for text in texts:
        assert earlier.tokenize(text) == words_of_categories(text.lower(), "LN", "LN"), repr(text)
    assert earlier.tokenize("ΣΊΣΥΦΟΣ cafe\u0301 m² माला") == ["σίσυφος", "cafe", "m²", "म", "ल"]


@pytest.mark.parametrize("rule", ["words", "unnormalized_words", "unicode_script", "sentencepiece"])
def test_blocks_have_the_words_of_their_lines(rule, sentencepiece_model):
    tokenizer = get_tokenizer(f"sentencepiece:{sentencepiece_model}" if rule == "sentencepiece" else rule)
    rng = random.Random(1)
    letters = "".join(NASTY).replace("\n", " ")
    for share in (0, 30):
        lines = ["".join(rng.choices(letters + share * "Ab c-d ", k=rng.randint(0, 60))) for _ in range(100)]
        folded = tokenizer.fold_block("".join(f"{line}\n" for line in lines).encode()).decode()
        assert [line.split() for line in folded.split("\n")] == [*map(tokenizer.tokenize, lines), []]


def test_scripts_are_told_apart():
    words = get_tokenizer("unicode_script").tokenize("雪豹 東京タワーへ snow-leopardБарс mp3 नमस्ते cafe\u0301 1 2")
    assert words == "雪豹 東京 タワー へ snow leopard барс mp 3 नमस्ते café 1 2".split()


@pytest.fixture(scope="module")
def sentencepiece_model(tmp_path_factory):
    """A tiny model of text without spaces."""
    import sentencepiece

    path = tmp_path_factory.mktemp("sentencepiece") / "tiny.model"
    lines = ["雪豹在雪山上", "雪豹 和 豹", "猫和雪豹", "snow leopard on the snow"] * 40
    with open(path, "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=file, vocab_size=40, hard_vocab_limit=False, minloglevel=2
        )
    return path


def test_pieces_are_words(sentencepiece_model):
    """Without the mark of a space: a word is the same at the beginning and inside of a line."""
    import sentencepiece

    tokenizer = get_tokenizer(f"sentencepiece:{sentencepiece_model}")
    model = sentencepiece.SentencePieceProcessor(model_file=str(sentencepiece_model))
    for text in ("雪豹在山上", "猫和雪豹", "snow 雪"):
        pieces = [piece.replace("\u2581", "") for piece in model.encode(text, out_type=str)]
        assert tokenizer.tokenize(text) == [piece for piece in pieces if piece]
    assert "雪豹" in tokenizer.tokenize("雪豹和猫") and "雪豹" in tokenizer.tokenize("猫和雪豹。")
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert (
        copy.tokenize("雪豹在山上") == tokenizer.tokenize("雪豹在山上")
        and copy.fingerprint() == tokenizer.fingerprint()
    )


@pytest.mark.parametrize("setting", ["word", "sentencepiece", "sentencepiece:", "words:x"])
def test_unknown_rules_are_refused(setting):
    with pytest.raises(ValueError, match="`tokenizer` must be one of words, unicode_script, sentencepiece:FILE"):
        get_tokenizer(setting)


def test_a_file_that_is_no_model_is_named(tmp_path):
    (tmp_path / "no.model").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"no\.model: .*spm_train"):
        get_tokenizer(f"sentencepiece:{tmp_path}/no.model")
    with pytest.raises(FileNotFoundError, match=r"none\.model"):
        get_tokenizer(f"sentencepiece:{tmp_path}/none.model")


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
