"""Text in the graph against the tokenizer and against TensorFlow Text."""

import random
import unicodedata

import pytest
import tensorflow as tf

from devise_tf.export.text_graph import fold_text
from devise_tf.text.tokenizer import WORDS

TEXTS = [
    "", " ", "-", "Snow-Leopard", "  snow\tleopard\n", "don't", "a_b", "1,000", "cat\0dog", "\0", "\x7f", "a" * 10_000,
    "ÅNGSTRÖM", "ΣΊΣΥΦΟΣ", "İstanbul", "naïve café", "Straße", "ﬁn", "x²", "Ⅷ", "ǅ", "㎏", "½", "ﷺ", "e\u0301",
    "雪豹", "🐆", "❤\ufe0f", "\u2028cat\u2029", "é\0É\0", "눈표범 한글", "ﾊﾞﾅﾅ パンダ", "हिम तेंदुआ क़ुत्ता", "ᾅ ᾼ", "\u0301",
    "a \u0301b\u0301", "-\u093e\u0323x", "\u0344a\u0344", "\u1100\u1161\u11a8", "\u115f\u1161",
    "co\u00adop", "a\u200db\u200cc", "a\u200bb", "\ufeffcat",
]  # fmt: skip

# What meets in random text: marks of many classes, letters that hold several, what becomes nothing, several or a space.
ALPHABETS = {
    "marks": "ae -\u0301\u0323\u0308\u0327\u0345\u0338\u20dd\u1dce\u0f71\u0f72\u0f73\u3099\u05b4\u05c1\u0344\U0001d165",
    "Greek": "αηωΑΗΩιΣσς \u0301\u0313\u0314\u0342\u0345\u0308ᾅᾼΐΰ΅´",
    "Hangul": "가각힣한글 -\u1100\u1112\u1161\u1175\u11a8\u11c2\u115f\u1160\u3164ㄱㅏﾡￂ",
    "kana": "かハばパー \u3099\u309aﾊｶﾞﾟ゛゜㌔",
    "Devanagari": "हिमतेंदुआक़य़न -\u093c\u094d\u093e\u0902\u0951१\u200d\u200c",
    "Indic": "কোৌேোೀೊೋෞ \u09c7\u09be\u0bc6\u0bbe\u0cc6\u0cc2\u0cd5\u0dd9\u0dcf\u0dca\U00011099\U000110ba",
    "ignored": "aÉ1 \u00ad\u200b\u200c\u200d\u2060\ufe0f\u034f\ufeff\u180b\U000e0020\u0301\u0323",
    "ASCII": "".join(map(chr, range(128))),
    "any": "aB-\0é雪ßİŉǆﬃ①㎏ﷺ½\u0301\u0323ि🐆\U00010400\U0002f800\U000e0100\ufffd\uffff",
}


fold = tf.function(fold_text, input_signature=[tf.TensorSpec([None], tf.string)])


def expected(texts):
    return [unicodedata.normalize("NFD", " ".join(WORDS.tokenize(text))).encode() for text in texts]


def random_texts(alphabet, count):
    rng = random.Random(0)
    return ["".join(rng.choices(alphabet, k=rng.randint(1, 12))) for _ in range(count)]


def with_tensorflow_text(texts):
    tensorflow_text = pytest.importorskip("tensorflow_text")
    # Not TensorFlow Text's: the zero width space separates words, and its strings end at NUL.
    texts = tf.strings.regex_replace(texts, "[\u200b\\x00]", " ")
    texts = tensorflow_text.normalize_utf8(tensorflow_text.case_fold_utf8(texts), "NFD")
    texts = tf.strings.regex_replace(texts, r"[^\p{L}\p{N}\p{M}]+", " ")
    texts = tf.strings.regex_replace(texts, r"(^| )\p{M}+", r"\1")
    return tf.strings.strip(tf.strings.regex_replace(texts, " +", " ")).numpy().tolist()


def test_words_are_the_tokenizers():
    for text, words in zip(TEXTS, expected(TEXTS), strict=True):
        assert fold(tf.constant([text])).numpy().tolist() == [words], ascii(text)


def test_texts_do_not_depend_on_those_beside_them():
    assert fold(tf.constant(TEXTS)).numpy().tolist() == expected(TEXTS)
    assert fold_text(tf.constant(TEXTS)).numpy().tolist() == expected(TEXTS)


def test_words_of_every_character():
    """Of planes without letters, numbers and marks, a sample."""
    assigned = [*range(0xD800), *range(0xE000, 0x34000), *range(0xE0000, 0xE1000)]
    codes = assigned + list(range(0x34000, 0xE0000, 61)) + list(range(0xE1000, 0x110000, 61))
    texts = ["\n".join(f"a{chr(code)}b" for code in codes[first : first + 100]) for first in range(0, len(codes), 100)]
    for text, words, result in zip(texts, expected(texts), fold(tf.constant(texts)).numpy(), strict=True):
        assert result == words, ascii(text)


@pytest.mark.parametrize("name", ALPHABETS)
def test_words_of_random_text(name):
    texts = random_texts(ALPHABETS[name], 4000)
    results = fold(tf.constant(texts)).numpy().tolist()
    differing = [
        (ascii(text), result, words)
        for text, result, words in zip(texts, results, expected(texts), strict=True)
        if result != words
    ]
    assert not differing[:3]


def test_bytes_that_are_not_utf8_separate_words():
    rng = random.Random(0)
    pieces = [
        b"a",
        b"\xc3\xa9",
        b"\xcc\x81",
        b"\xff",
        b"\x80",
        b"\xc3",
        b"\xe4\xb8",
        b"\xed\xa0\x80",
        b"\xf0\x9f",
        b"\xc0\x80",
    ]
    texts = [b"".join(rng.choices(pieces, k=rng.randint(1, 8))) for _ in range(4000)]
    words = expected([text.decode("utf-8", errors="replace") for text in texts])
    assert fold(tf.constant(texts)).numpy().tolist() == words
    assert fold(tf.constant([b"snow\xffleopard"])).numpy().tolist() == [b"snow leopard"]


def test_no_texts():
    result = fold(tf.constant([], tf.string))
    assert result.dtype == tf.string and result.shape == [0]


@pytest.mark.parametrize("name", ALPHABETS)
def test_random_text_as_tensorflow_text_has_it(name):
    texts = random_texts(ALPHABETS[name], 4000)
    assert fold(tf.constant(texts)).numpy().tolist() == with_tensorflow_text(tf.constant(texts))


def test_every_character_as_tensorflow_text_has_it():
    """Only characters newer than one of the two Unicode tables may differ; Unicode 3.2 (2002) knew none of them."""
    codes = [*range(0xD800), *range(0xE000, 0x34000), *range(0xE0000, 0xE1000)]
    texts = tf.constant([f"a{chr(code)}b" for code in codes])
    differing = []
    for code, result, words in zip(codes, fold(texts).numpy().tolist(), with_tensorflow_text(texts), strict=True):
        if result != words:
            assert b"a b" in (result, words), hex(code)
            differing.append(chr(code))
    assert len(differing) < 12_000
    assert {unicodedata.ucd_3_2_0.category(character) for character in differing} <= {"Cn"}


def test_graph_holds_core_operations_and_small_constants():
    graph = fold.get_concrete_function().graph.as_graph_def()
    nodes = [node for function in graph.library.function for node in function.node_def] + list(graph.node)
    operations = {node.op for node in nodes}
    assert {"UnicodeDecode", "RaggedGather", "StaticRegexFullMatch"} <= operations
    # `tf.raw_ops` is what TensorFlow is built with; operations of other libraries are not in it.
    assert {operation for operation in operations if not hasattr(tf.raw_ops, operation)} == set()
    assert not {operation for operation in operations if "PyFunc" in operation}
    assert sum(node.attr["value"].ByteSize() for node in nodes if node.op == "Const") < 110_000
