"""Tests of the built-in set."""

import ast
import hashlib
import inspect
import random
import subprocess
import sys
import time

import numpy as np
import pytest

from devise_tf.small_world import SmallWorld, SmallWorldConfig, description, drawing, prepare, world, writing
from devise_tf.small_world.english import ENGLISH
from devise_tf.text.tokenizer import tokenize


def test_size_of_the_world():
    w = world()
    assert len(w.labels) >= 100
    assert len(w.unseen) == round(0.2 * len(w.labels))
    assert sorted(w.unseen + w.seen) == sorted(w.labels.ids)
    assert w.labels.select(w.unseen).ids == w.unseen


def test_hierarchy():
    w = world()
    depths = [len(w.hierarchy.ancestors(label)) for label in w.labels.ids]
    assert min(depths) == max(depths) == 4
    genera = {s.genus for s in w.species}
    families = {s.family for s in w.species}
    assert len(families) >= 5 and len(genera) >= 4 * len(families)
    assert genera | families | set(w.labels.ids) | {"beast", "growth", "creature"} == set(w.hierarchy.parents)


@pytest.mark.parametrize("seed", range(5))
def test_every_genus_and_trait_of_an_unseen_label_is_seen(seed):
    w = world(seed)
    assert len(w.unseen) == round(0.2 * len(w.labels))
    seen = [s for s in w.species if s.id not in w.unseen]
    for species in w.species:
        assert any(s.genus == species.genus for s in seen)
        for name, value in vars(species.traits).items():
            assert any(getattr(s.traits, name) == value for s in seen)


def test_no_two_labels_look_alike():
    w = world()
    assert len({s.traits for s in w.species}) == len(w.species)


def test_siblings_share_traits():
    species = world().species
    same, other = [], []
    for i, a in enumerate(species):
        for b in species[:i]:
            (same if a.genus == b.genus else other).append(a.traits.overlap(b.traits))
    assert np.mean(same) > 2 * np.mean(other)


def test_terms():
    w = world()
    lengths = [len(terms[0]) for terms in w.labels.normalized_terms()]
    words = [len(terms[0].split()) for terms in w.labels.terms]
    assert min(lengths) >= 3
    assert np.mean(np.array(words) == 2) > 0.4 and np.mean(np.array(words) == 3) > 0.05
    assert any(len(terms) > 1 for terms in w.labels.terms)
    everything = [t for terms in w.labels.normalized_terms() for t in terms]
    assert len(everything) == len(set(everything))
    assert not set(everything) & ({s.genus for s in w.species} | {s.family for s in w.species})


def test_seeds():
    assert world(1) is world(1)
    assert world(1) == description.world.__wrapped__(1)
    assert world(1) != world(2)


def test_looks_and_words_are_made_apart():
    """Neither module imports the other, and drawing sees traits only, no names."""

    def imports(module):
        result = set()
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.ImportFrom):
                result |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
            elif isinstance(node, ast.Import):
                result |= {a.name for a in node.names}
        return {name.removeprefix("devise_tf.small_world.") for name in result if "small_world" in name}

    words = ("writing", "names", "language", "english")
    assert not any(word in name for word in words for name in imports(drawing))
    assert not any("drawing" in name for name in imports(writing) | imports(description))
    traits = world().species[0].traits
    assert set(vars(traits).values()) <= set(ENGLISH.words)
    assert all(isinstance(v, str) for v in vars(traits).values())


def test_drawing():
    images = []
    for species in world().species:
        image = drawing.draw(species.traits, np.random.default_rng(5))
        assert image.shape == (48, 48, 3) and image.dtype == np.uint8
        assert np.array_equal(image, drawing.draw(species.traits, np.random.default_rng(5)))
        images.append(image)
    # All were drawn with the same chance, so it is the traits that differ.
    assert len({image.tobytes() for image in images}) == len(images)


def test_two_photos_of_a_label_differ():
    traits = world().species[0].traits
    rng = np.random.default_rng(0)
    assert not np.array_equal(drawing.draw(traits, rng), drawing.draw(traits, rng))


def test_corpus_is_repeatable():
    first = list(writing.write_sentences(world(), 5))
    random.seed(1)  # what others do with `random` does not matter
    assert first == list(writing.write_sentences(world(), 5))
    assert first != list(writing.write_sentences(world(3), 5))


def test_corpus_stays_what_published_figures_were_measured_with():
    digest = hashlib.sha256("\n".join(writing.write_sentences(world(), 10)).encode()).hexdigest()
    assert digest == "5df0e649c2754a09d79fd86e050c2e65d9dd6edc068eb942d57dc7343de81bbe"


def test_corpus_holds_every_term_unseen_included():
    w = world()
    start = time.process_time()
    sentences = list(writing.write_sentences(w))
    assert time.process_time() - start < 8
    assert all(s.endswith(".") and "\n" not in s and "{" not in s for s in sentences)
    tokens = [tokenize(s) for s in sentences]
    assert 600_000 <= sum(map(len, tokens)) <= 1_000_000
    text = "\n".join(f" {' '.join(t)} " for t in tokens)
    counts = np.array([text.count(f" {' '.join(tokenize(terms[0]))} ") for terms in w.labels.terms])
    assert counts.min() > 150
    unseen = np.array([label in w.unseen for label in w.labels.ids])
    assert 0.8 < counts[unseen].mean() / counts[~unseen].mean() < 1.25
    assert all(f" {' '.join(tokenize(t))} " in text for terms in w.labels.terms for t in terms)


def test_words_follow_the_traits():
    """In the sentences that name a species, its two colors are named more often than any other."""
    w = world()
    lines = list(writing.write_sentences(w, 60))
    for species in w.species[::17]:
        text = " ".join(line.lower() for line in lines if species.terms[0] in line.lower()).replace(",", " ").split()
        count = {c: sum(text.count(word) for word in ENGLISH.words[c]) for c in description.COLORS}
        assert sorted(count, key=count.get)[-1] == species.traits.color
        assert sorted(count, key=count.get)[-2] == species.traits.second_color


def tiny(name="tiny", **kwargs):
    return SmallWorldConfig(name=name, **({"part": "images", "train_images": 2, "test_images": 1} | kwargs))


def test_prepared_images(tmp_path, capfd):
    import tensorflow_datasets as tfds

    state = random.getstate()
    builder = prepare(tmp_path, tiny())
    assert random.getstate() == state
    out, err = capfd.readouterr()
    assert "ownload" not in out + err
    w = world()
    assert builder.info.features["label"].names == w.labels.ids
    train, test = builder.as_data_source("train"), builder.as_data_source("test")
    assert len(train) == 2 * len(w.seen) and len(test) == len(w.labels)
    decoders = {"image": tfds.decode.SkipDecoding()}
    labels = [e["label"] for e in builder.as_data_source("train", decoders=decoders)]
    assert {w.labels.ids[i] for i in labels} == set(w.seen)
    assert {e["label"] for e in builder.as_data_source("test", decoders=decoders)} == set(range(len(w.labels)))

    example = builder.as_data_source("train", decoders=decoders)[3]
    assert example["image"].startswith(b"\xff\xd8")
    image, drawn = train[3]["image"].astype(float), []
    for number in range(2):
        rng = np.random.default_rng([w.seed, 0, example["label"], number])
        drawn.append(np.abs(drawing.draw(w.species[example["label"]].traits, rng) - image).mean())
    assert min(drawn) < 6  # what JPEG changes

    again = prepare(tmp_path, tiny())
    assert again.as_data_source("train")[3]["label"] == train[3]["label"]
    other = prepare(tmp_path / "other", tiny())
    assert other.as_data_source("train", decoders=decoders)[3]["image"] == example["image"]


def test_prepared_text(tmp_path):
    builder = prepare(str(tmp_path), tiny("tiny_text", part="text", sentences=2))
    texts = [e["text"].numpy().decode() for e in builder.as_dataset(split="train")]
    assert "\n".join(texts).split("\n") == list(writing.write_sentences(world(), 2))


def test_a_failed_preparation_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("devise_tf.small_world.builder.draw", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(tmp_path, tiny())
    monkeypatch.undo()
    assert len(prepare(tmp_path, tiny()).as_data_source("test")) == 120


@pytest.mark.parametrize("kwargs", [{"part": "sound"}, {"train_images": 0}, {"sentences": -1}])
def test_bad_configurations(kwargs):
    with pytest.raises(ValueError, match="Received: "):
        tiny(**kwargs)


def test_import_is_light():
    code = "import sys, devise_tf.small_world as s; s.world(); assert 'tensorflow_datasets' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'BigWorld'"):
        import devise_tf.small_world as small_world

        _ = small_world.BigWorld
    assert [c.name for c in SmallWorld.BUILDER_CONFIGS] == ["images", "text"]
