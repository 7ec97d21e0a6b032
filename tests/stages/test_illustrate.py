"""Crops, heat maps and attribution maps of a family."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from conftest import load_tiny
from numpy.typing import NDArray
from PIL import Image

from leaflineage.images import Frame
from leaflineage.stages.pictures import write_attribution
from leaflineage.store import Store

RUN_STAGE = """
import json, sys
from pathlib import Path
from leaflineage.config import Config
from leaflineage.stages import illustrate
from leaflineage.stages.context import Context
from leaflineage.store import Store
payload, files = illustrate.run(Context(Store(Path(sys.argv[1])), Config.model_validate_json(sys.argv[2]), "fagaceae"))
print(json.dumps([payload["crops"], sorted(files), "torch" in sys.modules]))
"""


def read_crops(run: Path) -> dict[str, list[dict[str, Any]]]:
    crops: dict[str, list[dict[str, Any]]] = json.loads((run / "families/fagaceae/crops.json").read_text())["crops"]
    return crops


def read_heat(content: bytes) -> NDArray[np.float64]:
    """Return the heat (rows, columns) in [0, 1] that a veil leaves uncovered."""
    with Image.open(io.BytesIO(content)) as veil:
        return 1 - np.asarray(veil.convert("RGBA"))[..., 3] / 255


def test_the_first_crops_of_each_concept_have_an_attribution_map_in_the_specimens_frame(tiny_run: Path) -> None:
    crops = read_crops(tiny_run)
    assert crops
    for name, listed in crops.items():
        assert [crop["attribution"] for crop in listed] == [
            f"families/fagaceae/attributions/{name}/{number:02d}.webp" for number in range(len(listed))
        ]
        for crop in listed:
            assert 0 < crop["attribution_min"] < crop["attribution_max"]
            heat = read_heat((tiny_run / crop["attribution"]).read_bytes())
            assert heat.shape == (96, 96)  # the tiny specimens are square
            assert 0.3 < (heat == 0).mean() < 0.7, "what most of the picture reaches is no heat"
            assert heat.max() > 0.99


def test_without_attribution_maps_no_torch_is_loaded_and_none_is_left_behind(tiny_copy: Path) -> None:
    config = load_tiny("concepts.n_attributions=0")
    finished = subprocess.run(
        [sys.executable, "-c", RUN_STAGE, str(tiny_copy), config.model_dump_json()],
        capture_output=True,
        text=True,
        check=True,
    )
    crops, files, has_torch = json.loads(finished.stdout)
    assert not has_torch
    assert all(
        crop["attribution"] is None and crop["attribution_max"] is None for each in crops.values() for crop in each
    )
    assert not [name for name in files if "/attributions/" in name]
    assert not list((tiny_copy / "families/fagaceae/attributions").rglob("*.webp"))


def test_fewer_attribution_maps_than_crops_go_to_the_strongest(tiny_copy: Path) -> None:
    from leaflineage.stages import illustrate
    from leaflineage.stages.context import Context

    payload, _ = illustrate.run(Context(Store(tiny_copy), load_tiny("concepts.n_attributions=1"), "fagaceae"))
    before = read_crops(tiny_copy)
    for name, listed in payload["crops"].items():
        assert [crop["attribution"] is None for crop in listed] == [False, *[True] * (len(listed) - 1)]
        assert (
            listed[0]["attribution_max"] == np.float64(before[name][0]["attribution_max"])
            or abs(listed[0]["attribution_max"] / before[name][0]["attribution_max"] - 1) < 1e-5
        ), "a map does not depend on how many are made"


def test_a_concept_that_moves_no_pixel_gives_a_veil_without_heat(tmp_path: Path) -> None:
    frame = Frame(
        width=40, height=20, input_width=64, input_height=64, scale_x=1.6, scale_y=1.6, offset_x=0.0, offset_y=16.0
    )
    store = Store(tmp_path)
    facts, _ = write_attribution(store, "a.webp", np.zeros((64, 64)), frame, (40, 20))
    assert facts == {"attribution": "a.webp", "attribution_min": 0.0, "attribution_max": 0.0}
    heat = read_heat((tmp_path / "a.webp").read_bytes())
    assert heat.shape == (48, 96)
    np.testing.assert_array_equal(heat, 0)


def test_heat_lies_where_the_gradient_is_in_the_specimens_frame(tmp_path: Path) -> None:
    frame = Frame(
        width=40, height=20, input_width=64, input_height=64, scale_x=1.6, scale_y=1.6, offset_x=0.0, offset_y=16.0
    )
    attribution = np.full((64, 64), 0.5)
    attribution[16:32, 48:64] = 2.5  # the upper right quarter's right half of the specimen
    facts, _ = write_attribution(Store(tmp_path), "a.webp", attribution, frame, (40, 20))
    assert (facts["attribution_min"], facts["attribution_max"]) == (0.5, 2.5)
    heat = read_heat((tmp_path / "a.webp").read_bytes())  # (48, 96)
    np.testing.assert_array_equal(heat[2:22, 75:], 1)
    np.testing.assert_array_equal(heat[27:], 0)
    np.testing.assert_array_equal(heat[:, :69], 0)
