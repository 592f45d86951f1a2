"""Ranks by hand: ties, and what cannot be ranked."""

import numpy as np
import pytest

from mindvoxel.metrics.accuracy import ranks_of_truth

LOGITS = np.array([[0.1, 0.9, 0.5, -1.0], [3.0, 2.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32)


def test_ranks_by_hand_and_ties_against_the_network():
    assert ranks_of_truth(LOGITS, np.array([1, 3, 0])).tolist() == [0, 3, 3]
    assert ranks_of_truth(LOGITS, np.array([2, 1, 3])).tolist() == [1, 1, 3]


def test_an_infinite_logit_is_ranked():
    logits = np.array([[-np.inf, np.inf, 0.0]])
    assert [int(ranks_of_truth(logits, np.array([k]))[0]) for k in range(3)] == [2, 0, 1]


@pytest.mark.parametrize(
    ("logits", "labels", "said"),
    [
        (np.array([[np.nan, 1.0]]), np.array([1]), "1 NaN"),
        (np.zeros((2, 3)), np.array([0, 3]), "labels must be 0 to 2, got 0 to 3"),
        (np.zeros((2, 3)), np.array([-1, 0]), "got -1 to 0"),
        (np.zeros((2, 3)), np.array([0]), "logits \\(N, K\\) and labels \\(N,\\)"),
        (np.zeros((2, 3)), np.array([0.0, 1.0]), "whole numbers"),
    ],
)
def test_what_cannot_be_ranked_is_an_error(logits, labels, said):
    with pytest.raises(ValueError, match=said):
        ranks_of_truth(logits, labels)
