"""The models of a made-up run: what they are called, what they share, and their queries in NumPy."""

import keras
import numpy as np
import pytest

from devise_tf.evaluation.measure.run_scorers import run_scorers
from devise_tf.labels import LabelSet, SimilarityProfile, WordSpace
from devise_tf.labels.random_space import random_label_vectors
from devise_tf.layers import LabelDistanceLoss
from devise_tf.models.devise import DeViSE, SpaceRecipe, fuse_softmax
from devise_tf.models.model_names import random_seed
from devise_tf.models.sources import TrainedRun
from devise_tf.text import save_vectors

SEEN, UNSEEN = ["n1", "n2", "n3", "n4"], ["n5", "n6"]
LABELS = LabelSet(
    [*SEEN, *UNSEEN], [["cat", "puss"], ["snow leopard"], ["crane"], ["oak"], ["derrick", "crane"], ["red fox"]]
)
TERMS = ["cat", "puss", "snow_leopard", "crane", "oak", "derrick", "red", "fox"]
VECTORS = np.random.default_rng(0).normal(size=(len(TERMS), 5)).astype("float32")
PIXELS = np.random.default_rng(1).uniform(0, 255, (7, 4, 4, 3)).astype("float32")


def cnn():
    pixels = keras.Input((4, 4, 3), name="pixels")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    x = keras.layers.Dense(6, activation="tanh", name="representation")(flat)
    return keras.Model(pixels, keras.layers.Dense(len(SEEN), name="logits")(x))


def label_vectors(label_terms="first", profile=None):
    return WordSpace(TERMS, VECTORS, label_terms, profile).table(LABELS.select(SEEN)).values


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    (directory / "flags.txt").write_text("--missing_labels=compose\n--seed=3\n")
    (directory / "unseen_labels.txt").write_text("".join(f"{label}\n" for label in UNSEEN))
    LABELS.save(directory / "labels.txt")
    save_vectors(directory / "vectors.bin", TERMS, VECTORS, form="word2vec_binary")
    softmax = cnn()
    softmax.save(directory / "cnn.keras")
    frozen = keras.Model(softmax.input, softmax.get_layer("representation").output)
    other = cnn()
    tuned = keras.Model(other.input, other.get_layer("representation").output)
    DeViSE(frozen, label_vectors()).save(directory / "devise_projection.keras")
    DeViSE(tuned, label_vectors()).save(directory / "devise.keras")
    DeViSE(frozen, label_vectors("mean"), LabelDistanceLoss(), SpaceRecipe("mean")).save(directory / "l2.keras")
    references = label_vectors("heads")
    profiles = label_vectors("heads", SimilarityProfile(references, 0.15))
    model = DeViSE(frozen, profiles, space_recipe=SpaceRecipe("heads", SimilarityProfile(references)))
    fuse_softmax(model, softmax, 0.5).save(directory / "profiles.keras")
    for number in (0, 1):
        vectors = random_label_vectors(SEEN, 5, random_seed(3, number))
        DeViSE(tuned, vectors, space_recipe=SpaceRecipe("none")).save(directory / f"random_{number}.keras")
        DeViSE(frozen, vectors, space_recipe=SpaceRecipe("none")).save(directory / f"random_{number}_projection.keras")
    return directory


@pytest.fixture(scope="module")
def run(directory):
    return TrainedRun(str(directory))


@pytest.fixture(scope="module")
def scorers(run):
    return run_scorers(run, LABELS, conse_tops=(2, 1, None))


def named(scorers, name):
    (result,) = [scorer for scorer in scorers if scorer.name == name]
    return result


def queries(scorer):
    return np.asarray(scorer.head(scorer.network(PIXELS)))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def numpy_outputs(run):
    """Representation and logits of the softmax network, from its weights."""
    first, first_bias, second, second_bias = run.network("softmax").get_weights()
    representation = np.tanh(PIXELS.reshape(len(PIXELS), -1) / 255 @ first + first_bias)
    return representation, representation @ second + second_bias


def test_names_and_shared_networks(scorers):
    """Random models are seeds of one name. Their projections are no models of the paper's, nor is that of l2."""
    conse = ["conse", "conse_1", "conse_all", "conse_profiles"]
    names = ["softmax", *conse, "devise", "devise_projection", "l2", "profiles"]
    assert [scorer.name for scorer in scorers] == [*names, "random", "random"]
    # That of the softmax is also that of the models over it, whatever their names: l2 was trained with it frozen.
    shared = [scorer.name for scorer in scorers if scorer.network is scorers[0].network]
    assert shared == ["softmax", *conse, "devise_projection", "l2", "profiles"]
    assert [scorer.name for scorer in scorers if scorer.is_frozen] == shared
    assert len({id(scorer.network) for scorer in scorers}) == 4


def test_a_frozen_cnn_is_known_without_a_row_of_the_softmax(run):
    result = run_scorers(run, LABELS, only=["devise", "devise_projection", "l2"])
    assert [(scorer.name, scorer.is_frozen) for scorer in result] == [
        *[("devise", False), ("devise_projection", True), ("l2", True)]
    ]
    assert result[1].network is result[2].network


def test_queries_of_softmax_and_projection(run, scorers):
    representation, logits = numpy_outputs(run)
    np.testing.assert_allclose(queries(named(scorers, "softmax")), logits, atol=1e-5)
    for name in ("devise_projection", "l2"):
        projection = run.network(name).projection.get_weights()[0]
        np.testing.assert_allclose(queries(named(scorers, name)), unit(representation @ projection), atol=1e-5)
    # With probabilities in the embedding, at half the weight.
    both = unit(representation @ run.network("profiles").projection.get_weights()[0])
    both += 0.5 * unit(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(queries(named(scorers, "profiles")), unit(both), atol=1e-5)
    np.testing.assert_allclose(
        queries(named(scorers, "devise")), unit(np.asarray(run.network("devise")(PIXELS))), atol=1e-5
    )


def test_queries_of_conse(run, scorers):
    """The vectors of the T most probable labels, weighted by their probabilities, one image at a time."""
    _, logits = numpy_outputs(run)
    vectors = label_vectors()
    for name, top in (("conse", 2), ("conse_1", 1), ("conse_all", 4)):
        for row, query in zip(logits, queries(named(scorers, name)), strict=True):
            probabilities = np.exp(row) / np.exp(row).sum()
            best = sorted(range(len(SEEN)), key=lambda label: -probabilities[label])[:top]  # noqa: B023
            expected = sum(probabilities[label] * vectors[label] for label in best)
            np.testing.assert_allclose(query, expected / np.linalg.norm(expected), atol=1e-5)


def test_conse_among_profiles_is_the_softmaxs_part_of_the_fused_model(run, scorers):
    """The fused model without its projection; its label vectors are the same."""
    _, logits = numpy_outputs(run)
    expected = unit(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    scorer = named(scorers, "conse_profiles")
    np.testing.assert_allclose(queries(scorer), expected, atol=1e-6)
    fused = keras.models.clone_model(run.network("profiles"))
    fused.set_weights(run.network("profiles").get_weights())
    fused.projection.set_weights([np.zeros_like(weights) for weights in fused.projection.get_weights()])
    np.testing.assert_allclose(unit(np.asarray(fused(PIXELS))), expected, atol=1e-6)
    values = named(scorers, "profiles").candidates(LABELS.ids).values
    np.testing.assert_array_equal(scorer.candidates(LABELS.ids).values, values)
    assert values.shape == (len(LABELS), len(SEEN))


def test_conse_among_profiles_passes_over_trained_labels_without_a_vector(directory, tmp_path):
    """Their probabilities have no part in the embedding, and profiles no dimension of theirs."""
    for path in directory.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "labels.txt").unlink()
    labels = LabelSet(LABELS.ids, [["cat", "puss"], ["okapi"], *LABELS.terms[2:]])
    labels.save(tmp_path / "labels.txt")
    (tmp_path / "profiles.keras").unlink()
    frozen = keras.models.load_model(tmp_path / "devise_projection.keras").visual_model
    space = WordSpace(TERMS, VECTORS, "heads", missing="drop")
    references = space.table(labels.select(SEEN)).values
    profile = SimilarityProfile(references)
    DeViSE(frozen, profile(references), space_recipe=SpaceRecipe("heads", profile)).save(tmp_path / "profiles.keras")
    run = TrainedRun(str(tmp_path))
    _, logits = numpy_outputs(run)
    expected = unit(np.exp(logits[:, [0, 2, 3]]))
    model = run.model("conse_profiles")
    np.testing.assert_allclose(model.embed(PIXELS), expected, atol=1e-6)
    assert model.open_space(missing="drop").table(labels).values.shape == (5, 3)


def by_terms(scorer, other=False):
    """Whether a model answers by terms: "crane" then stands for two labels. With `other`, in its other way."""
    candidates = (scorer.other_candidates if other else scorer.candidates)(LABELS.ids)
    owners = sorted(tuple(int(label) for label in row if label >= 0) for row in candidates.owners)
    if candidates.entries_per_answer == 4:
        assert owners == [(0,), (0,), (1,), (2, 4), (3,), (4,), (5,)]
        return True
    assert candidates.entries_per_answer == 1 and owners == [(i,) for i in range(6)]
    return False


@pytest.mark.parametrize("answers", [None, "labels", "terms"])
def test_all_models_made_of_words_answer_in_one_way(run, answers):
    """Whatever their label vectors are made of; random vectors have no terms. By label vectors if nothing is said."""
    arguments = {} if answers is None else {"answers": answers}
    words = ["conse", "conse_profiles", "devise", "devise_projection", "l2", "profiles"]
    result = run_scorers(run, LABELS, only=["softmax", *words, "random"], **arguments)
    ways = {scorer.name: by_terms(scorer) for scorer in result if scorer.name != "softmax"}
    assert ways == {**dict.fromkeys(words, answers == "terms"), "random": False}
    # Those that claims are about can answer in the other way, too.
    others = {scorer.name: by_terms(scorer, other=True) for scorer in result if scorer.other_candidates}
    assert others == dict.fromkeys(["devise", "devise_projection", "l2"], answers != "terms")
    softmax = named(result, "softmax").candidates(["n6", "n4", "n2"])
    assert softmax.values.tolist() == [3, 1] and softmax.owners.tolist() == [[1], [2]]
    assert len(named(result, "softmax").candidates(UNSEEN)) == 0


def test_vectors_of_candidates(run, scorers):
    units = dict(zip(TERMS, unit(VECTORS), strict=True))
    fox = unit((VECTORS[6] + VECTORS[7])[None])[0]  # composed
    expected = [units[t] for t in ("cat", "snow_leopard", "crane", "oak", "derrick")]
    result = named(scorers, "devise").candidates(LABELS.ids)
    np.testing.assert_allclose(result.values, [*expected, fox], atol=1e-6)
    expected = [units[t] for t in ("cat", "puss", "snow_leopard", "crane", "oak", "derrick")]
    result = named(scorers, "devise").other_candidates(LABELS.ids)
    np.testing.assert_allclose(result.values, [*expected, fox], atol=1e-6)
    means = unit(np.stack([units["cat"] + units["puss"], units["derrick"] + units["crane"]]))
    np.testing.assert_allclose(named(scorers, "l2").candidates(["n1", "n5"]).values, means, atol=1e-6)
    randoms = [scorer for scorer in scorers if scorer.name == "random"]
    for number, scorer in enumerate(randoms):
        # The run's seed is 3; labels that were not trained have random vectors too.
        expected = random_label_vectors(["n6", "n1"], 5, 1000 * (3 + 1) + number)
        np.testing.assert_allclose(scorer.candidates(["n6", "n1"]).values, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (["random"], ["random", "random"]),
        (["devise"], ["devise"]),
        (["l2_projection"], None),
        (["devise_projection", "conse"], ["conse", "devise_projection"]),
        (["conse_1"], None),
    ],
)
def test_only_some_rows(run, only, names):
    if names is None:
        with pytest.raises(ValueError, match=f"has no model.*{only[0]}.*'conse'.*'random'.*Received: models="):
            run_scorers(run, LABELS, only=only)
    else:
        assert [scorer.name for scorer in run_scorers(run, LABELS, only=only)] == names


def test_errors(run, directory, tmp_path):
    with pytest.raises(ValueError, match="`answers` must be one of .*Received: answers='best'"):
        run_scorers(run, LABELS, answers="best")
    for path in directory.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "vectors.bin").unlink()
    save_vectors(tmp_path / "vectors.bin", TERMS, VECTORS[::-1], form="word2vec_binary")
    with pytest.raises(ValueError, match="was trained with other label vectors.*Received: model='devise'"):
        run_scorers(TrainedRun(str(tmp_path)), LABELS)
