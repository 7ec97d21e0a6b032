"""The exception tree and its hints."""

from __future__ import annotations

import pickle

import pytest

from leaflineage import errors
from leaflineage.errors import LeafLineageError, suggest

TREE = ["ActivationError", "ArtifactError", "ConfigError", "ModelError", "SiteError", "SpecimenError"]


def test_every_error_of_ours_has_one_root() -> None:
    found = [name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)]
    assert sorted(found) == sorted([*TREE, "LeafLineageError"])
    for name in TREE:
        assert getattr(errors, name).__bases__ == (LeafLineageError,)


@pytest.mark.parametrize("name", TREE)
def test_an_error_comes_whole_out_of_a_worker_process(name: str) -> None:
    error = getattr(errors, name)("what was wanted, what came, where, what to do")
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is type(error)
    assert str(other) == str(error)


@pytest.mark.parametrize(
    ("word", "choices", "said"),
    [
        ("n_concept", ["n_concepts", "max_cells"], " Did you mean n_concepts?"),
        ("Fagacea", ["Fagaceae", "Betulaceae"], " Did you mean Fagaceae?"),
        ("zebra", ["n_concepts"], ""),
        ("anything", [], ""),
    ],
)
def test_the_nearest_choice_is_offered_where_one_is_near(word: str, choices: list[str], said: str) -> None:
    assert suggest(word, choices) == said
