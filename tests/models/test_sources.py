"""Model directories as those read them who use what a run left."""

import keras
import numpy as np
import pytest

from devise_tf.images import Crop
from devise_tf.labels import LabelSet, RandomSpace, SimilarityProfile
from devise_tf.layers import LabelSoftmaxLoss
from devise_tf.models.devise import DeViSE, SpaceRecipe
from devise_tf.models.label_model import LabelModel
from devise_tf.models.model_names import random_seed
from devise_tf.models.model_source import label_recipe
from devise_tf.models.sources import TrainedRun
from devise_tf.text import save_vectors

TERMS = ["cat", "snow", "leopard", "snow_leopard", "ounce", "dog", "the"]
VECTORS = np.random.default_rng(0).normal(size=(len(TERMS), 4)).astype(np.float32)
LABELS = LabelSet(
    ["n1", "n2", "n3", "n4"],
    [["snow leopard", "ounce"], ["cat"], ["snow cat"], ["dog"]],
)


def unit(vector):
    return vector / np.linalg.norm(vector)


def network(label_vectors=VECTORS[:3], **arguments):
    visual = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
    return DeViSE(visual, label_vectors, **arguments)


@pytest.fixture
def directory(tmp_path):
    """All but the models."""
    (tmp_path / "flags.txt").write_text(
        "--image_size=24\n--missing_labels=compose\n--phrases=\n--seed=3\nnoise\n--a=b=c\n"
    )
    LABELS.save(tmp_path / "labels.txt")
    (tmp_path / "unseen_labels.txt").write_text("n2\n")
    save_vectors(tmp_path / "vectors.bin", TERMS, VECTORS, "word2vec_binary")
    return tmp_path


def test_directory_gives_labels_flags_and_settings(directory):
    run = TrainedRun(str(directory))
    assert run.directory == str(directory)
    assert run.flags == {"image_size": "24", "missing_labels": "compose", "phrases": "", "seed": "3", "a": "b=c"}
    assert run.labels == LABELS
    assert (run.seen, run.unseen) == (["n1", "n3", "n4"], ["n2"])
    assert run.seed == 3 and run.missing_labels == "compose"
    (directory / "unseen_labels.txt").unlink()
    run = TrainedRun(str(directory))
    assert (run.seen, run.unseen) == (LABELS.ids, [])


def test_crop_networks_and_models(directory):
    flags = directory / "flags.txt"
    flags.write_text(f"{flags.read_text()}--resize_size=28\n")
    run = TrainedRun(str(directory))
    assert run.crop == Crop(24, 28)
    for name in ("cnn", "devise", "l2", "random_0", "devise_projection"):
        (directory / f"{name}.keras").touch()
    assert run.networks() == ["softmax", "devise", "devise_projection", "l2", "random_0"]
    assert run.models() == ["softmax", "devise", "devise_projection", "l2", "conse"]


def test_rows_of_an_evaluation(directory):
    """Before the CNN learned, too, are the models of the paper's comparison; ConSE among profiles stands by these."""
    names = ("devise", "paper", "l2", "profiles", "random_0", "random_1")
    for name in ("cnn", *names, *(f"{name}_projection" for name in names)):
        (directory / f"{name}.keras").touch()
    run = TrainedRun(str(directory))
    conse = [("conse", "conse_10"), ("conse_1", "conse_1"), ("conse_profiles", "conse_profiles")]
    words = ["devise", "devise_projection", "l2", "paper", "paper_projection", "profiles"]
    randoms = [("random", "random_0"), ("random", "random_1")]
    rows = [("softmax", "softmax"), *conse, *((name, name) for name in words), *randoms]
    assert run.compared((10, 1)) == rows
    assert run.compared((10, 1), ["l2_projection", "conse_profiles"]) == [conse[2], ("l2_projection",) * 2]
    (directory / "profiles.keras").unlink()
    assert conse[2] not in run.compared((10, 1))


def test_home_folder_is_expanded(directory, monkeypatch):
    monkeypatch.setenv("HOME", str(directory.parent))
    assert TrainedRun(f"~/{directory.name}").directory == str(directory)


def test_missing_entries_are_named(directory):
    run = TrainedRun(str(directory))
    with pytest.raises(ValueError, match=r"flags.txt must have --resize_size. Received: --resize_size="):
        run.crop  # noqa: B018
    for name, message in (
        ("softmax", "cnn.keras is missing: run --phase=cnn in that directory first. Received: model_dir="),
        ("devise", "devise.keras is missing: run --phase=devise in that directory first. Received: model_dir="),
        ("l2", "l2.keras is missing: run --phase=devise"),
    ):
        with pytest.raises(ValueError, match=message):
            run.network(name)
    (directory / "vectors.bin").unlink()
    with pytest.raises(ValueError, match="vectors.bin is missing: run --phase=skip_gram"):
        run.term_vectors("devise")
    (directory / "labels.txt").unlink()
    with pytest.raises(ValueError, match="labels.txt is missing: run --phase=cnn"):
        TrainedRun(str(directory))
    (directory / "flags.txt").unlink()
    for path in (directory, directory / "nowhere"):
        with pytest.raises(
            ValueError, match=f"`model_dir` must be the directory of a run.*Received: model_dir='{path}'"
        ):
            TrainedRun(str(path))


def test_networks_are_listed_and_loaded(directory):
    run = TrainedRun(str(directory))
    assert run.networks() == []
    model = network(loss=LabelSoftmaxLoss(), space_recipe=SpaceRecipe("mean"))
    for name in ("random_0", "l2", "devise", "devise_projection"):
        model.save(directory / f"{name}.keras")
    (directory / ".devise-half.keras").touch()  # what a killed run left
    assert run.networks() == ["devise", "devise_projection", "l2", "random_0"]
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]).save(directory / "cnn.keras")
    assert run.networks() == ["softmax", "devise", "devise_projection", "l2", "random_0"]
    assert run.network("softmax").output_shape == (None, 3)
    loaded = run.network("l2")
    assert isinstance(loaded, DeViSE) and isinstance(loaded.loss, LabelSoftmaxLoss)
    assert loaded.space_recipe == SpaceRecipe("mean")


def test_only_devise_has_the_vectors_of_joint_training(directory):
    save_vectors(directory / "trained_vectors.bin", TERMS, 2 * VECTORS[::-1], "word2vec_binary")
    run = TrainedRun(str(directory))
    for name, expected in (("devise", 2 * VECTORS[::-1]), ("l2", VECTORS), ("conse", VECTORS)):
        terms, vectors = run.term_vectors(name)
        assert terms == TERMS
        np.testing.assert_array_equal(vectors, expected)
    terms, vectors = run.term_vectors("conse", LABELS)
    assert terms == TERMS[:-1]
    np.testing.assert_array_equal(vectors, VECTORS[:-1])


@pytest.mark.parametrize("profiles", [False, True])
@pytest.mark.parametrize("label_terms", ["first", "mean", "heads", "random"])
def test_label_vectors_follow_the_recipe_of_the_model(directory, label_terms, profiles):
    """A model of profiles keeps its references, whatever labels are asked for."""
    references = np.stack([unit(vector) for vector in np.random.default_rng(1).normal(size=(3, 4))]).astype(np.float32)
    recipe = SpaceRecipe(label_terms, SimilarityProfile(references, 0.5) if profiles else None)
    model = network(np.eye(3, 3 if profiles else 4), space_recipe=recipe)
    label_terms, profile = label_recipe(model)
    space = TrainedRun(str(directory)).word_space("devise", LABELS, label_terms=label_terms, profile=profile)
    result, by_terms = space.table(LABELS), space.table(LABELS, "terms")
    v = {term: unit(vector.astype(np.float64)) for term, vector in zip(TERMS, VECTORS, strict=True)}
    of_term = {**v, "snow_cat": unit(VECTORS[1] + VECTORS[0])}
    if label_terms == "heads":
        of_term["snow_leopard"] = unit(of_term["snow_leopard"] + v["leopard"])
        of_term["snow_cat"] = unit(of_term["snow_cat"] + v["cat"])
    expected = [of_term[term] for term in ("snow_leopard", "cat", "snow_cat", "dog")]
    if label_terms in ("mean", "heads"):
        expected[0] = unit(of_term["snow_leopard"] + v["ounce"])
    ounce = v["ounce"]
    if profiles:
        expected = [unit(np.exp(references @ vector / 0.5)) for vector in expected]
        ounce = unit(np.exp(references @ ounce / 0.5))
    assert result.ids == LABELS.ids
    np.testing.assert_allclose(result.values, expected, atol=1e-6)
    np.testing.assert_allclose(by_terms.values[by_terms.entries[0][1]], ounce, atol=1e-6)
    assert (space.profile is not None) == profiles


@pytest.mark.parametrize("model", [None, "none"])
def test_label_vectors_of_the_plain_space(directory, model):
    """Of ConSE; and for random embeddings, which have the labels that have a vector, but others."""
    label_terms, profile = label_recipe(model and network(space_recipe=SpaceRecipe(model)))
    space = TrainedRun(str(directory)).word_space("conse", label_terms=label_terms, profile=profile)
    result = space.table(LABELS.select(["n4", "n1"]))
    np.testing.assert_allclose(result.values, [unit(VECTORS[5]), unit(VECTORS[3])], atol=1e-6)
    assert profile is None


def test_missing_labels_default_to_the_setting_of_the_run(directory):
    run = TrainedRun(str(directory))
    more = LABELS.merged_with(LabelSet(["n9"], [["okapi"]]))
    with pytest.raises(ValueError, match=r"1 of 5 labels have no vector: n9 \(okapi\)"):
        run.word_space().table(more)
    assert run.word_space(missing="drop").table(more).unknown == ["n9"]
    flags = directory / "flags.txt"
    flags.write_text(flags.read_text().replace("compose", "drop"))
    assert TrainedRun(str(directory)).word_space().table(more).ids == LABELS.ids


def test_random_vectors_are_those_of_training(directory):
    """Of a label and a seed, whatever the other labels are; runs of different seeds share none."""
    network(space_recipe=SpaceRecipe("none")).save(directory / "random_1.keras")
    for name in ("random_1_projection", "random_0"):
        network(space_recipe=SpaceRecipe("none")).save(directory / f"{name}.keras")
    run = TrainedRun(str(directory))

    def vectors(name, *ids):
        model = run.model(name)
        assert isinstance(model, LabelModel) and isinstance(model.open_space(), RandomSpace)
        table = model.open_space().table(LABELS.select(ids), "terms")
        assert table.ids == list(ids)
        return table.by_label()

    result = vectors("random_1", "n4", "n1")
    np.testing.assert_array_equal(vectors("random_1_projection", "n1")["n1"], result["n1"])
    assert not np.allclose(vectors("random_0", "n1")["n1"], result["n1"])
    rng = np.random.default_rng(np.random.SeedSequence([1000 * (3 + 1) + 1, *b"n4"]))
    np.testing.assert_allclose(result["n4"], unit(rng.standard_normal(4)), rtol=1e-5)
    seeds = [random_seed(run_seed, number) for run_seed in range(5) for number in range(50)]
    assert len(set(seeds)) == len(seeds)
