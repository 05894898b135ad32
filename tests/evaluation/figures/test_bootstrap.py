"""The bootstrap against plain resampling, and against what theory says of its moments."""

import numpy as np
import pytest

from devise_tf.evaluation.figures.bootstrap import bootstrap_means, interval


def plain(columns, labels, samples, seed):
    """Draws images one by one; with labels among each label's own."""
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(samples):
        if labels is None:
            means.append(columns[rng.integers(0, len(columns), len(columns))].mean(axis=0))
        else:
            groups = [columns[labels == label] for label in np.unique(labels)]
            means.append(np.mean([g[rng.integers(0, len(g), len(g))].mean(axis=0) for g in groups], axis=0))
    return np.array(means)


def example(labeled, count=90):
    """Correlated columns, and labels: none, of different numbers of images, or some that have the same images."""
    rng = np.random.default_rng(3)
    hits = rng.random((count, 1)) < 0.4
    columns = np.concatenate([hits, hits ^ (rng.random((count, 1)) < 0.1), rng.integers(0, 6, (count, 1)) / 5], axis=1)
    if labeled == "some":
        # Label 7 has a single image, and there is none of label 5.
        return columns.astype(float), np.append(rng.choice([0, 1, 1, 1, 2, 9], count - 1), 7)
    if labeled == "equal":
        return np.concatenate([*[columns[:15]] * 5, columns[15:30]]).astype(float), np.repeat(np.arange(6), 15)
    return columns.astype(float), None


@pytest.mark.parametrize("labeled", [None, "some", "equal"])
def test_against_plain_resampling(labeled):
    """Means within 4 of their standard errors; quantiles within 0.15 deviations, some 4 standard errors of theirs."""
    columns, labels = example(labeled)
    result, expected = bootstrap_means(columns, labels, 4000, seed=1), plain(columns, labels, 4000, seed=2)
    assert result.shape == (4000, 3) and result.dtype == np.float64
    deviation = expected.std(axis=0)
    assert (np.abs(result.mean(axis=0) - expected.mean(axis=0)) < 4 * deviation * np.sqrt(2 / 4000)).all()
    np.testing.assert_allclose(result.std(axis=0), deviation, rtol=0.07)
    for share in (0.025, 0.25, 0.5, 0.75, 0.975):
        gap = np.quantile(result, share, axis=0) - np.quantile(expected, share, axis=0)
        # Means of n zeros and ones are multiples of 1 / n: a quantile may fall on the next one.
        assert (np.abs(gap) <= 0.15 * deviation + 1 / len(columns)).all()


@pytest.mark.parametrize("labeled", [None, "some", "equal"])
def test_bootstrapped_means_have_the_moments_of_the_images(labeled):
    """The covariance of the means is that of the images over n; with labels the mean of the labels' over L."""
    columns, labels = example(labeled)
    groups = [columns] if labels is None else [columns[labels == label] for label in np.unique(labels)]
    result = bootstrap_means(columns, labels, 20000)
    mean = np.mean([group.mean(axis=0) for group in groups], axis=0)
    covariance = sum(np.cov(group.T, ddof=0) / len(group) for group in groups) / len(groups) ** 2
    deviation = np.sqrt(np.diag(covariance))
    assert (np.abs(result.mean(axis=0) - mean) < 4 * deviation / np.sqrt(20000)).all()
    # Of 20,000 draws the standard errors here are at most 0.01.
    scale = np.outer(deviation, deviation)
    np.testing.assert_allclose(np.cov(result.T) / scale, covariance / scale, atol=0.04)


def test_columns_of_an_image_are_drawn_together():
    """Two models that differ on one image in ten: their difference has sqrt(0.1 / n), each alone sqrt(0.24 / n)."""
    rng = np.random.default_rng(0)
    first = np.arange(1000) % 5 < 2
    second = np.where(np.arange(1000) % 10 == 0, ~first, first)
    columns = np.stack([first, second], axis=1)
    means = bootstrap_means(columns, samples=8000)
    low, high = interval(means[:, 0] - means[:, 1])
    difference = first.astype(float) - second
    half = 1.96 * difference.std() / np.sqrt(1000)
    assert (low, high) == pytest.approx((difference.mean() - half, difference.mean() + half), abs=0.1 * half)
    apart = bootstrap_means(columns[:, :1], samples=8000, seed=1) - bootstrap_means(
        columns[:, 1:], samples=8000, seed=2
    )
    wide = interval(apart[:, 0])
    assert wide[1] - wide[0] > 2 * (high - low)
    drawn = rng.permutation(1000)
    shuffled = bootstrap_means(columns[drawn], samples=8000)
    np.testing.assert_array_equal(shuffled, means)  # the order of the images is of no account


def test_equal_seeds_give_equal_draws_and_bad_columns_are_named():
    columns, labels = example("some")
    np.testing.assert_array_equal(bootstrap_means(columns, labels, 10), bootstrap_means(columns, labels, 10))
    assert (bootstrap_means(columns, labels, 10, seed=1) != bootstrap_means(columns, labels, 10)).any()
    assert (
        bootstrap_means(columns, labels, 10, seed=(0, 1)) != bootstrap_means(columns, labels, 10, seed=(0, 0))
    ).any()
    np.testing.assert_array_equal(bootstrap_means(np.full((7, 2), 0.25), samples=3), np.full((3, 2), 0.25))
    for wrong in (np.zeros(3), np.zeros((0, 2)), np.zeros((2, 0))):
        with pytest.raises(ValueError, match=r"must have the shape \[n, C\].*Received: shape"):
            bootstrap_means(wrong)


def test_interval_holds_the_middle_share():
    assert interval(np.arange(1001) / 1000) == pytest.approx([0.025, 0.975])
    assert interval(np.arange(1001) / 1000, share=0.5) == pytest.approx([0.25, 0.75])
