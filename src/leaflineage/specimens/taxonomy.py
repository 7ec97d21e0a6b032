"""Order and clade of each family, from a table."""

from __future__ import annotations

import csv
from pathlib import Path

from leaflineage.errors import SpecimenError
from leaflineage.specimens.names import clean_name

_COLUMNS = ("family", "order", "clade")


def load_taxonomy(path: Path) -> dict[str, dict[str, str | None]]:
    """Read a TSV with the columns family, order and clade; others are ignored.

    Returns
    -------
    dict
        {family: {"order": …, "clade": …}}, None where a cell is empty.

    Raises
    ------
    SpecimenError
        If the file cannot be read or a column is missing.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecimenError(
            f"A taxonomy (TSV: family, order, clade) was wanted at {path}, but it cannot be read. "
            "Check [atlas] taxonomy."
        ) from error
    rows = csv.DictReader(lines, delimiter="\t")
    found = rows.fieldnames or []
    missing = [each for each in _COLUMNS if each not in found]
    if missing:
        raise SpecimenError(
            f"{path.name}: the columns family, order and clade were wanted, found: {', '.join(found) or 'none'}. "
            "Separate them by tabs and name them in the first line."
        )
    taxonomy: dict[str, dict[str, str | None]] = {}
    for row in rows:
        family = clean_name(row["family"] or "")
        if family:
            taxonomy.setdefault(family, {"order": row["order"] or None, "clade": row["clade"] or None})
    return taxonomy
