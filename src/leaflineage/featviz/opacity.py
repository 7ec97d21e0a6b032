"""Where a concept cared: opacity from gradient magnitudes accumulated over all steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
OPACITY_BLUR = 1 / 30  # standard deviation, of the picture's side
OPACITY_CUT = 80  # percentile of the blurred gradients from which the picture is opaque


def compute_opacity(gradients: Floats) -> Floats:
    """Return opacity in [0, 1] from accumulated gradient magnitudes (size, size); zeros where there was none."""
    from scipy.ndimage import gaussian_filter

    blurred = gaussian_filter(np.nan_to_num(gradients.astype(np.float64)), len(gradients) * OPACITY_BLUR)
    low, top = float(np.percentile(blurred, 10)), float(np.percentile(blurred, OPACITY_CUT))
    if top <= 0:  # less than a fifth of the picture ever mattered
        top = float(blurred.max())
    if top - low <= 1e-9 * top:  # all of it alike: all of it opaque, or nothing where there was no gradient
        return np.full(gradients.shape, float(top > 0), dtype=np.float32)
    return np.clip((blurred - low) / (top - low), 0, 1).astype(np.float32)
