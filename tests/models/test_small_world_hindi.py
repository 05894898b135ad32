"""Tests of the small world in Hindi: labels, text, and the command that writes it."""

import re
import unicodedata
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from devise_tf import small_world
from devise_tf.models.small_world_hindi import write_text
from devise_tf.models.small_world_hindi.hindi import HINDI
from devise_tf.small_world import description
from devise_tf.small_world.english import ENGLISH
from devise_tf.small_world.writing import write_sentences
from devise_tf.text.tokenizer import normalize_term, tokenize


@pytest.fixture(scope="module")
def terms():
    return [term for terms in write_text.hindi_labels().terms for term in terms]


@pytest.fixture(scope="module")
def sentences():
    return list(write_sentences(write_text.hindi_world(), language=HINDI))


def is_devanagari(text):
    return all("DEVANAGARI" in unicodedata.name(character) for character in text)


def without_vowel_signs(text):
    return "".join(c for c in unicodedata.normalize("NFD", text) if "VOWEL SIGN" not in unicodedata.name(c))


def test_every_label_has_hindi_terms(terms):
    world = small_world.world()
    labels = write_text.hindi_labels()
    assert labels.ids == world.labels.ids
    assert list(map(len, labels.terms)) == list(map(len, world.labels.terms))
    assert all(is_devanagari(term.replace(" ", "")) for term in terms)
    assert len(set(map(normalize_term, terms))) == len(terms)


def test_labels_are_composed_as_the_english_ones():
    """The genus is the last word of the same terms, and a word of English names has one word in Hindi."""
    hindi = {}
    for species, terms in zip(small_world.world().species, write_text.hindi_labels().terms, strict=True):
        for english, term in zip(species.terms, terms, strict=True):
            for word, translated in zip(english.split(), term.split(), strict=True):
                assert hindi.setdefault(word, translated) == translated
    assert len(set(hindi.values())) == len(hindi)
    genera = {species.genus for species in small_world.world().species}
    assert {genus: hindi[genus] for genus in genera} == {genus: HINDI.names[genus] for genus in genera}


def test_marks_of_every_kind_stay_in_their_words(terms):
    """Vowel signs, nukta, virama and the signs of nasal vowels are marks, at which no word may end."""
    marks = Counter(
        c for term in terms for c in unicodedata.normalize("NFD", term) if unicodedata.category(c)[0] == "M"
    )
    for name in ("VOWEL SIGN I", "VOWEL SIGN II", "SIGN NUKTA", "SIGN VIRAMA", "SIGN ANUSVARA", "SIGN CANDRABINDU"):
        assert marks[unicodedata.lookup(f"DEVANAGARI {name}")] > 5, name
    for term in terms:
        assert tokenize(term) == unicodedata.normalize("NFC", term).split()


def test_labels_that_differ_by_a_vowel_sign_only_stay_different(terms):
    alike = {}
    for term in terms:
        alike.setdefault(without_vowel_signs(term), []).append(term)
    pairs = [group for group in alike.values() if len(group) > 1]
    assert ["नीलिम दिनक्षुप", "नीलम दिनक्षुप"] in pairs and len(pairs) >= 3
    for pair in pairs:
        assert len({tuple(tokenize(term)) for term in pair}) == len(pair)


def test_there_are_words_for_everything():
    assert set(HINDI.words) == set(ENGLISH.words)
    words = [word for words in HINDI.words.values() for word in words]
    assert len(set(words)) == len(words) and all(map(is_devanagari, words))
    world = small_world.world()
    assert set(HINDI.names) == set(world.hierarchy.parents) - set(world.labels.ids)
    assert len(set(HINDI.names.values())) == len(HINDI.names)
    assert not set(HINDI.names.values()) & set(words)


def test_the_text_is_repeatable(sentences):
    assert sentences[:500] == list(write_sentences(write_text.hindi_world(), language=HINDI))[:500]
    assert sentences[0] == "उत्तरी मुलायम मौनउलूक की तरह फ़सल मौनउलूक भी चौकोर बदन वाला मौनउलूक है।"


def test_the_text_is_all_hindi_and_has_every_term(sentences, terms):
    assert all(s.endswith("।") and re.fullmatch(r"[\u0900-\u0963 ,]+।", s) for s in sentences)
    text = " ".join(sentences).replace(",", " ").replace("।", " ")
    assert 600_000 <= len(text.split()) <= 1_000_000
    counts = {term: text.count(f" {term} ") for term in terms}
    assert min(counts.values()) > 30
    assert min(counts[terms[0]] for terms in write_text.hindi_labels().terms) > 150


def test_words_follow_the_traits(sentences):
    """In the sentences that name a species, its two colors are named more often than any other."""
    for species in write_text.hindi_world().species[::17]:
        words = Counter(re.findall(r"[^ ,।]+", " ".join(s for s in sentences if f"{species.terms[0]} " in s)))
        colors = Counter({c: sum(words[word] for word in HINDI.words[c]) for c in description.COLORS})
        assert [c for c, _ in colors.most_common(2)] == [species.traits.color, species.traits.second_color]


def test_the_command_writes_text_and_photos(tmp_path, sentences, capsys):
    text, photos = tmp_path / "hindi.txt", tmp_path / "photos"
    assert write_text.run([f"--output={text}", f"--photos={photos}"]) == 0
    assert text.read_text(encoding="utf-8") == "".join(f"{sentence}\n" for sentence in sentences)
    assert f"{text}: {text.stat().st_size} bytes" in capsys.readouterr().out
    files = sorted(photos.iterdir())
    assert [file.stem for file in files] == sorted(small_world.world().unseen)
    pixels = [np.asarray(Image.open(file)) for file in files]
    assert {image.shape for image in pixels} == {(48, 48, 3)}
    assert len({image.tobytes() for image in pixels}) == len(files)
