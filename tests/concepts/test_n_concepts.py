"""How many concepts: the rule by hand, and on planted leaves whose number of concepts is known."""

from __future__ import annotations

import numpy as np
import pytest

from leaflineage.concepts.factorization import factorize
from leaflineage.concepts.n_concepts import Candidate, choose_n_concepts
from leaflineage.concepts.stability import measure_stability, refit
from leaflineage.concepts.unseen import measure_predicted_error


def test_the_number_that_is_stable_and_rebuilds_most_is_taken() -> None:
    assert choose_n_concepts([Candidate(2, 0.99, 0.6, 0.01), Candidate(4, 0.97, 0.4, 0.01)]) == 4


def test_a_number_under_the_bound_is_not_taken_whatever_it_rebuilds() -> None:
    assert choose_n_concepts([Candidate(2, 0.99, 0.6, 0.01), Candidate(4, 0.8499, 0.1, 0.01)]) == 2
    assert choose_n_concepts([Candidate(2, 0.99, 0.6, 0.01), Candidate(4, 0.85, 0.1, 0.01)]) == 4


def test_concepts_that_rebuild_no_more_than_other_leaves_would_are_left_out() -> None:
    known = [Candidate(3, 0.99, 0.50, 0.01), Candidate(4, 0.99, 0.30, 0.01)]
    assert choose_n_concepts([*known, Candidate(5, 0.95, 0.291, 0.01), Candidate(6, 0.9, 0.2905, 0.01)]) == 4
    assert choose_n_concepts([*known, Candidate(5, 0.95, 0.289, 0.01), Candidate(6, 0.9, 0.2885, 0.01)]) == 5


def test_what_comes_after_a_number_that_is_not_stable_is_not_taken() -> None:
    tried = [Candidate(4, 0.99, 0.5, 0.01), Candidate(8, 0.8, 0.4, 0.01), Candidate(12, 0.86, 0.3, 0.01)]
    assert choose_n_concepts(tried) == 4


def test_numbers_below_the_most_stable_one_are_not_taken() -> None:
    assert choose_n_concepts([Candidate(2, 0.7, 0.5, 0.9), Candidate(4, 0.99, 0.4, 0.9)]) == 4


def test_where_no_number_is_stable_the_most_stable_is_taken_and_of_equals_the_smallest() -> None:
    tried = [Candidate(2, 0.5, 0.6, 0.01), Candidate(4, 0.7, 0.5, 0.01), Candidate(6, 0.7, 0.4, 0.01)]
    assert choose_n_concepts(tried) == 4
    assert choose_n_concepts(tried[::-1]) == 4


def test_one_number_is_taken_as_it_is() -> None:
    assert choose_n_concepts([Candidate(3, 0.1, 0.9, 0.0)]) == 3


@pytest.mark.parametrize("planted", [3, 5, 8])
def test_the_planted_number_of_concepts_is_found(planted: int) -> None:
    generator = np.random.default_rng(planted)
    bank = generator.gamma(0.5, 1, (planted, 80)) * (generator.random((planted, 80)) < 0.3)
    bank[0] = 1  # what all cells share keeps noise above 0: noise that is clipped has a mean, one concept more
    coefficients = generator.gamma(1, 1, (30, 16, planted)) * (generator.random((30, 16, planted)) < 0.4)
    coefficients[..., 0] = 1
    cells = coefficients @ bank + 0.2 * generator.normal(size=(30, 16, 80))
    assert float((cells < 0).mean()) < 1e-4
    cells = cells.astype(np.float32)
    groups = [f"leaf-{number}" for number in range(30)]
    flat, of_cell = cells.reshape(-1, 80), [group for group in groups for _ in range(16)]
    candidates = []
    for n_concepts in (2, 3, 4, 5, 6, 8, 10):
        found = factorize(
            flat, n_concepts=n_concepts, seed=0, max_iterations=200, tolerance=1e-3, method="nmf", device="cpu"
        )
        refits = refit(
            flat,
            of_cell,
            n_concepts=n_concepts,
            n_refits=5,
            seed=1,
            max_iterations=200,
            tolerance=3e-3,
            method="nmf",
            device="cpu",
        )
        error = measure_predicted_error(cells, groups, refits, seed=2)
        assert error is not None
        stability = float(measure_stability(found.concept_bank, refits)[0].mean())
        candidates.append(Candidate(n_concepts, stability, error.value, error.standard_error))
    assert choose_n_concepts(candidates) == planted
