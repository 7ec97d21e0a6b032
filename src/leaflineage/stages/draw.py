"""Draw a family's leaves into the run, where they are a folder like any other."""

from __future__ import annotations

from typing import Any

from leaflineage.herbarium import FAMILIES, write_family
from leaflineage.records import make_slug
from leaflineage.stages.context import Context


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write each drawn specimen with its zone map; return the catalogue's rows and the files."""
    settings = context.config.specimens.draw
    assert settings is not None, "draw runs only where the config draws"
    family = next(name for name in FAMILIES if make_slug(name) == context.slug)
    rows = write_family(context.store.path("specimens"), family, n=settings.n, size=settings.size, seed=settings.seed)
    files = {}
    for row in rows:
        stem = "specimens/" + row["path"].removesuffix(".png")
        files.update({name: context.store.hash_file(name) for name in (f"{stem}.png", f"{stem}.zones.png")})
    context.store.remove_strays(f"specimens/{family}", files)
    return {"family": family, "rows": rows}, files
