"""Where a second try climbs: towards what no other concept of the bank has, by the share that is said."""

from __future__ import annotations

import numpy as np
import pytest

from leaflineage.featviz.leaning import lean_apart

BANK = np.array([[0.6, 0.8, 0.0], [1.0, 0.0, 0.0]], dtype=np.float32)


@pytest.mark.parametrize(("share", "wanted"), [(0.0, [0.6, 0.8]), (0.5, [0.3, 0.8]), (1.0, [0.0, 0.8])])
def test_what_the_others_span_is_taken_off_by_its_share_and_the_length_stays(share: float, wanted: list[float]) -> None:
    expected = np.array([*wanted, 0.0]) / np.linalg.norm(wanted)
    np.testing.assert_allclose(lean_apart(BANK, 0, share=share), expected, atol=1e-6)


def test_a_bank_of_one_concept_and_one_that_repeats_itself_stay_finite() -> None:
    np.testing.assert_allclose(lean_apart(BANK[:1], 0, share=0.5), BANK[0], atol=1e-6)
    np.testing.assert_allclose(lean_apart(BANK[[0, 0]], 0, share=0.5), BANK[0], atol=1e-6)
    assert np.isfinite(lean_apart(np.zeros((2, 3)), 1, share=0.5)).all()
