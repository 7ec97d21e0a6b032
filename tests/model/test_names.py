"""Names of outputs: where they come from, in which order, and what is refused."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from leaflineage.errors import ModelError
from leaflineage.model.names import OutputNames, resolve_label_names

FAMILIES = ["Betulaceae", "Fagaceae", "Ulmaceae"]


def resolve(
    *,
    label_names: Sequence[str] | Path | None = None,
    config_names: Sequence[str] | None = None,
    checkpoint_names: Sequence[str | None] | None = None,
    families: Sequence[str] = FAMILIES,
    n_outputs: int = 3,
    trust_names: bool = False,
) -> OutputNames:
    return resolve_label_names(
        n_outputs=n_outputs,
        label_names=label_names,
        config_names=config_names,
        checkpoint_names=checkpoint_names,
        catalogue_families=families,
        trust_names=trust_names,
        where="somewhere",
    )


def test_the_settings_come_before_the_config_the_checkpoint_and_the_catalogue() -> None:
    given, config, checkpoint = FAMILIES[::-1], [*FAMILIES[1:], "A"], ["B", *FAMILIES[1:]]
    assert resolve(label_names=given, config_names=config, checkpoint_names=checkpoint).names == given
    assert resolve(config_names=config, checkpoint_names=checkpoint).names == config
    assert resolve(checkpoint_names=checkpoint).names == checkpoint
    assert resolve(families=FAMILIES[::-1]).names == FAMILIES


def test_families_of_the_catalogue_stand_in_only_where_their_number_is_the_outputs() -> None:
    with pytest.raises(ModelError, match=r"names of the 4 outputs.*3 families cannot stand in"):
        resolve(n_outputs=4)


def test_fewer_names_than_outputs_leave_the_rest_unnamed() -> None:
    assert resolve(label_names=FAMILIES, n_outputs=5).names == [*FAMILIES, None, None]


def test_a_dash_is_an_unnamed_output() -> None:
    assert resolve(label_names=["Fagaceae", "-", "Ulmaceae"]).names == ["Fagaceae", None, "Ulmaceae"]


def test_more_names_than_outputs_are_refused() -> None:
    with pytest.raises(ModelError, match=r"at most 2 names.*got 3.*'Ulmaceae'"):
        resolve(label_names=FAMILIES, n_outputs=2)


def test_one_name_twice_is_refused_with_both_places() -> None:
    with pytest.raises(ModelError, match="'Fagaceae' for outputs 0 and 2"):
        resolve(label_names=["Fagaceae", "Ulmaceae", "Fagaceae"])


def test_names_that_no_family_bears_are_refused_with_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"not one matches\. Did you mean betulaceae"):
        resolve(label_names=["betulaceae", "fagaceae", "ulmaceae"])
    assert resolve(label_names=["a", "b", "c"], trust_names=True).names == ["a", "b", "c"]
    assert resolve(label_names=["a", "b", "c"], families=[]).names == ["a", "b", "c"]


def test_only_unnamed_outputs_are_refused() -> None:
    with pytest.raises(ModelError, match="only unnamed"):
        resolve(label_names=["-", "-"])


def test_a_class_map_is_read_one_name_a_line(tmp_path: Path) -> None:
    path = tmp_path / "class_map.txt"
    path.write_bytes("\ufeffUlmaceae\r\n-\r\n  Fagaceae \r\n\r\n".encode())
    found = resolve(label_names=path)
    assert found.names == ["Ulmaceae", None, "Fagaceae"]
    assert str(tmp_path) not in found.origin


def test_an_empty_line_keeps_the_place_of_its_output(tmp_path: Path) -> None:
    path = tmp_path / "class_map.txt"
    path.write_text("Ulmaceae\n\nFagaceae\n")
    assert resolve(label_names=path).names == ["Ulmaceae", None, "Fagaceae"]


def test_a_class_map_that_is_missing_empty_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        resolve(label_names=tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(ModelError, match="empty file"):
        resolve(label_names=tmp_path / "empty.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(ModelError, match="cannot be read"):
        resolve(label_names=tmp_path / "bytes.txt")
