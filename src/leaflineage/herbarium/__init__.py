"""The embedded default: drawn leaves whose anatomy is known, because we drew it."""

from leaflineage.herbarium.catalogue import png_bytes, write_catalogue, write_family, write_herbarium, write_twins
from leaflineage.herbarium.drawing import Drawing, draw_specimen
from leaflineage.herbarium.families import FAMILIES, PLANTED_SHORTCUT_FAMILY
from leaflineage.herbarium.twins import TWINS, draw_twins

__all__ = [
    "FAMILIES",
    "PLANTED_SHORTCUT_FAMILY",
    "TWINS",
    "Drawing",
    "draw_specimen",
    "draw_twins",
    "png_bytes",
    "write_catalogue",
    "write_family",
    "write_herbarium",
    "write_twins",
]
