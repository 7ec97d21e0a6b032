"""How a picture lies in the classifier's input, in the words of `anatomy`, which knows no pictures' files."""

from __future__ import annotations

from leaflineage.anatomy.placing import Lie
from leaflineage.images import Frame


def make_lie(frame: Frame) -> Lie:
    """Return how a picture lies in the classifier's input."""
    return Lie(
        scale_x=frame.scale_x,
        scale_y=frame.scale_y,
        offset_x=frame.offset_x,
        offset_y=frame.offset_y,
        input_width=frame.input_width,
        input_height=frame.input_height,
    )
