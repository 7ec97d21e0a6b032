"""Order and clade of each family."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaflineage.errors import SpecimenError
from leaflineage.specimens import load_taxonomy


def test_order_and_clade_are_read_by_column_name(tmp_path: Path) -> None:
    path = tmp_path / "orders.tsv"
    path.write_text("\ufefffamily\tmark\tclade\torder\nFagaceae\tsure\trosids\tFagales\nGinkgoaceae\t?\t\n")
    assert load_taxonomy(path) == {
        "Fagaceae": {"order": "Fagales", "clade": "rosids"},
        "Ginkgoaceae": {"order": None, "clade": None},
    }


def test_a_missing_column_or_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "orders.tsv"
    path.write_text("family,order,clade\n")
    with pytest.raises(SpecimenError, match="Separate them by tabs"):
        load_taxonomy(path)
    with pytest.raises(SpecimenError, match=r"\[atlas\] taxonomy"):
        load_taxonomy(tmp_path / "none.tsv")
