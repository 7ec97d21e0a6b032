"""Where the folders that stay outside the package lie: templates, static, locale and configs.

A wheel carries them inside the package; a checkout (and an editable install) keeps them at the repository's root.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from leaflineage.errors import LeafLineageError

Resource = Literal["templates", "static", "locale", "configs"]


def find_resource(name: Resource) -> Path:
    """Return the folder of that name, beside the package first and at the repository's root second.

    Parameters
    ----------
    name : str
        "templates", "static", "locale" or "configs".

    Raises
    ------
    LeafLineageError
        If neither place has it.
    """
    package = Path(__file__).resolve().parent
    places = [package / name, package.parents[1] / name]
    for place in places:
        if place.is_dir():
            return place
    raise LeafLineageError(
        f"The folder {name}/ is needed and is neither beside the installed package nor at the repository's root. "
        "The installation is incomplete: install leaflineage again from its wheel or checkout."
    )
