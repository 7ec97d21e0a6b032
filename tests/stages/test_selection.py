"""Which families are built: every output and every family has its place and, where it is not built, its reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from leaflineage.config import Config
from leaflineage.errors import ConfigError
from leaflineage.records import Catalogue, ModelRecord, Specimen
from leaflineage.stages.selection import SelectedFamily, list_queries, list_specimens, select_families


def make_specimen(family: str | None, number: int, **changes: Any) -> Specimen:
    name = f"{family or 'query'}-{number}"
    role = "reference" if family else "query"
    return Specimen.model_validate(
        {"id": name, "file": f"{name}.jpg", "group": name, "family": family, "role": role, **changes}
    )


def select(
    outputs: Sequence[str | None], specimens: Sequence[Specimen], *, asked: Sequence[str] = (), least: int = 2
) -> dict[str, SelectedFamily]:
    config = Config.model_validate(
        {
            "atlas": {"families": list(asked)},
            "specimens": {"root": "/leaves", "min_specimens": least},
            "classifier": {"source": "herbarium"},
        }
    )
    model = ModelRecord.model_construct(label_names=list(outputs), n_outputs=len(outputs))
    catalogue = Catalogue(
        specimens=list(specimens), families=sorted({each.family for each in specimens if each.family})
    )
    found = select_families(config, catalogue, model)
    assert [each.slug for each in found] == sorted(each.slug for each in found)
    return {each.name: each for each in found}


OAKS = [make_specimen("Fagaceae", number) for number in range(3)]


def test_a_family_with_an_output_and_enough_specimens_is_built() -> None:
    found = select([None, "Fagaceae"], OAKS)
    assert found == {"Fagaceae": SelectedFamily("Fagaceae", "fagaceae", 1, 3, None)}


@pytest.mark.parametrize(
    ("outputs", "specimens", "asked", "name", "reason"),
    [
        (["Fagaceae", "Ulmaceae"], [], [], "Ulmaceae", "no specimens"),
        (["Fagaceae"], [make_specimen("Ulmaceae", i) for i in range(5)], [], "Ulmaceae", "has no output of this name"),
        (
            ["Fagaceae", "Ulmaceae"],
            [make_specimen("Ulmaceae", 0)],
            [],
            "Ulmaceae",
            "1 specimen, fewer than the 2 needed",
        ),
        (
            ["Fagaceae", "Ulmaceae"],
            [make_specimen("Ulmaceae", i) for i in range(5)],
            ["Fagaceae"],
            "Ulmaceae",
            "not asked",
        ),
    ],
)
def test_a_family_that_is_not_built_has_its_reason(
    outputs: list[str], specimens: list[Specimen], asked: list[str], name: str, reason: str
) -> None:
    found = select(outputs, [*OAKS, *specimens], asked=asked)
    assert reason in str(found[name].missing)
    assert found["Fagaceae"].missing is None
    assert found[name].output_index == (outputs.index(name) if name in outputs else None)


def test_a_family_with_just_enough_specimens_is_built() -> None:
    assert select(["Fagaceae"], OAKS, least=3)["Fagaceae"].missing is None


def test_specimens_that_were_set_aside_do_not_count() -> None:
    aside = [make_specimen("Ulmaceae", i, set_aside="is empty" if i else None) for i in range(5)]
    found = select(["Fagaceae", "Ulmaceae"], [*OAKS, *aside])
    assert found["Ulmaceae"].n_specimens == 1
    assert found["Ulmaceae"].missing == "1 specimen, fewer than the 2 needed"


def test_outputs_without_a_name_are_no_families() -> None:
    assert set(select([None, "Fagaceae", None], OAKS)) == {"Fagaceae"}


def test_an_output_is_matched_by_name_and_never_by_position() -> None:
    specimens = [make_specimen(name, i) for name in ("Betulaceae", "Fagaceae") for i in range(3)]
    found = select(["Fagaceae", "Betulaceae"], specimens)
    assert {name: each.output_index for name, each in found.items()} == {"Fagaceae": 0, "Betulaceae": 1}


def test_families_whose_names_differ_in_case_alone_have_their_own_slugs() -> None:
    specimens = [make_specimen(name, i) for name in ("Fagaceae", "fagaceae") for i in range(3)]
    found = select(["Fagaceae", "fagaceae"], specimens)
    assert {each.slug for each in found.values()} == {"fagaceae", "fagaceae-2"}


def test_a_family_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"asks for Fagacea, which neither .* Did you mean Fagaceae\?"):
        select(["Fagaceae"], OAKS, asked=["Fagacea"])


def test_nothing_to_build_is_refused_with_the_reasons() -> None:
    with pytest.raises(ConfigError, match=r"No family can be built\. Fagaceae: 3 specimens, fewer than the 9 needed"):
        select(["Fagaceae"], OAKS, least=9)


def test_queries_are_in_no_family() -> None:
    queries = [make_specimen(None, 0), make_specimen(None, 1, set_aside="is empty")]
    catalogue = Catalogue(specimens=[*OAKS, *queries], families=["Fagaceae"])
    assert [each.id for each in list_queries(catalogue)] == ["query-0"]
    assert list_specimens(catalogue) == {"Fagaceae": OAKS}
