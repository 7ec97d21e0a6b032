"""The embedded default: drawn leaves whose anatomy is known, because we drew it."""

from leaflineage.herbarium.drawing import Drawing, draw_specimen
from leaflineage.herbarium.families import FAMILIES, PLANTED_SHORTCUT_FAMILY

__all__ = ["FAMILIES", "PLANTED_SHORTCUT_FAMILY", "Drawing", "draw_specimen"]
