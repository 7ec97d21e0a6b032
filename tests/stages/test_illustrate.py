"""Crops, heat maps and attribution maps of a family."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import load_tiny
from numpy.typing import NDArray
from PIL import Image

from leaflineage.images import Frame, encode_heatmap
from leaflineage.records import Specimen, name_smaller
from leaflineage.stages.context import Context
from leaflineage.stages.pictures import (
    THUMBNAIL_SIDE,
    make_sheet,
    place_thumbnail,
    write_attribution,
    write_specimen,
)
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


def read_record(run: Path) -> Any:
    return json.loads((run / "families/fagaceae/crops.json").read_text())


def read_crops(run: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the strongest crops of each concept."""
    return pick_tops(read_record(run)["crops"])


def pick_tops(crops: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [crop for crop in listed if crop["kind"] == "top"] for name, listed in crops.items()}


def illustrate_again(run: Path, *overrides: str) -> tuple[Any, dict[str, str]]:
    """Return what the stage says of a run's family, and its files."""
    from leaflineage.stages import illustrate

    return illustrate.run(Context(Store(run), load_tiny(*overrides), "fagaceae"))


def withhold(run: Path, identifier: str) -> None:
    path = run / "catalogue.json"
    record = json.loads(path.read_text())
    next(each for each in record["specimens"] if each["id"] == identifier)["withheld"] = True
    path.write_text(json.dumps(record))


def set_logits(run: Path, wrong: dict[str, tuple[int, float]]) -> None:
    """Let the classifier take specimens for another output: {id: (output, its logit)}; the others' are 0."""
    store = Store(run)
    record = json.loads((run / "families/fagaceae/activations.json").read_text())
    arrays = store.read_arrays("families/fagaceae/pooled.safetensors", stage="extract")
    logits = np.zeros_like(arrays["logits"])
    logits[:, 2] = 1  # Fagaceae
    for identifier, (output, value) in wrong.items():
        logits[record["specimens"].index(identifier), output] = value
    store.write_arrays("families/fagaceae/pooled.safetensors", {**arrays, "logits": logits})


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
    before = read_crops(tiny_copy)
    payload, _ = illustrate_again(tiny_copy, "concepts.n_attributions=1")
    for name, listed in pick_tops(payload["crops"]).items():
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


# --- graded crops ------------------------------------------------------------------------------------------------


def test_graded_crops_follow_the_strongest_each_kind_of_other_leaves_the_weakest_last(tiny_run: Path) -> None:
    for listed in read_record(tiny_run)["crops"].values():
        kinds = [crop["kind"] for crop in listed]
        assert list(dict.fromkeys(kinds)) == ["top", "p99", "p90", "p50", "counter"]
        assert kinds == sorted(kinds, key=["top", "p99", "p90", "p50", "counter"].index)
        graded = [crop for crop in listed if crop["kind"] != "top"]
        assert len({crop["specimen"] for crop in graded}) == len(graded), "each picture is of another leaf here"
        means = [np.mean([c["coefficient"] for c in graded if c["kind"] == kind]) for kind in dict.fromkeys(kinds[3:])]
        assert means == sorted(means, reverse=True)
        for crop in graded:
            assert crop["attribution"] is None
            assert (tiny_run / crop["image"]).is_file()
            assert (tiny_run / crop["heatmap"]).is_file()


def test_a_square_of_two_kinds_is_one_file(tiny_run: Path) -> None:
    for listed in read_record(tiny_run)["crops"].values():
        places = {(crop["specimen"], tuple(crop["box"])) for crop in listed}
        assert len({crop["image"] for crop in listed}) == len({crop["heatmap"] for crop in listed}) == len(places)
        assert len(places) < len(listed), "the strongest leaf stands at the 99th percentile too"


# --- whole specimens ---------------------------------------------------------------------------------------------


def test_a_shown_specimen_carries_the_heat_map_of_every_shown_concept(tiny_run: Path) -> None:
    record = read_record(tiny_run)
    names = [f"fagaceae/{name}" for name in record["crops"]]
    store = Store(tiny_run)
    maps = store.read_arrays("families/fagaceae/concepts.safetensors", stage="factorize")["maps"].astype(np.float32)
    listed = json.loads((tiny_run / "families/fagaceae/activations.json").read_text())["specimens"]
    ids = json.loads((tiny_run / "families/fagaceae/concepts.json").read_text())["ids"]
    # The tiny specimens are square and of the input's size.
    frame = Frame(
        width=128, height=128, input_width=128, input_height=128, scale_x=1, scale_y=1, offset_x=0, offset_y=0
    )
    for identifier, facts in record["specimens"].items():
        assert sorted(each["concept"] for each in facts["heatmaps"]) == sorted(names)
        for each in facts["heatmaps"]:
            own = maps[listed.index(identifier), ..., ids.index(each["concept"].split("/")[1])]
            assert each["coefficient"] == np.float32(f"{own.max():.6g}")
            head, _, data = each["heatmap"].partition(",")
            assert head == "data:image/webp;base64"
            veil = encode_heatmap(
                own,
                frame=frame,
                map_shape=own.shape,
                original_size=(128, 128),
                maximum=each["heatmap_max"],
                longer_side=2 * max(own.shape),
            )
            np.testing.assert_allclose(read_heat(base64.b64decode(data)), read_heat(veil), atol=1 / 255)


def test_specimens_lie_in_smaller_widths_too_below_their_own(tmp_path: Path) -> None:
    specimen = Specimen(id="a", file="a.png", group="a", licence="CC BY 4.0", credit="N. N.", source="x")
    for shape, wanted in (((300, 600), [160]), ((600, 300), []), ((100, 160), []), ((90, 330), [160]), ((90, 320), [])):
        facts, files = write_specimen(Store(tmp_path), "f", specimen, np.full((*shape, 3), 99, dtype=np.uint8))
        assert facts["smaller"] == wanted
        assert set(files) == {facts["image"], *(name_smaller(facts["image"], width) for width in wanted)}
        for width in wanted:
            with Image.open(tmp_path / name_smaller(facts["image"], width)) as small:
                assert small.width == width
                assert small.height == pytest.approx(width * shape[0] / shape[1], abs=1)
                assert b"CC BY 4.0" in small.info["xmp"]


# --- thumbnails --------------------------------------------------------------------------------------------------


def test_the_sheet_holds_every_specimen_in_its_square(tiny_run: Path) -> None:
    facts = read_record(tiny_run)["thumbnails"]
    listed = json.loads((tiny_run / "families/fagaceae/activations.json").read_text())["specimens"]
    assert (facts["side"], facts["columns"], facts["licensed"]) == (THUMBNAIL_SIDE, 12, True)
    with Image.open(tiny_run / facts["image"]) as sheet:
        assert sheet.size == (facts["width"], facts["height"]) == (12 * 48, 48)
        assert b"LeafLineage drawn herbarium" in sheet.info["xmp"]
        pixels = np.asarray(sheet.convert("RGB")).astype(float)
    files = {each["id"]: each["file"] for each in json.loads((tiny_run / "catalogue.json").read_text())["specimens"]}
    for place, identifier in enumerate(listed):
        with Image.open(tiny_run / "specimens" / files[identifier]) as leaf:
            wanted = np.asarray(leaf.convert("RGB").resize((48, 48), Image.Resampling.LANCZOS)).astype(float)
        differences = [np.abs(pixels[:, i * 48 : i * 48 + 48] - wanted).mean() for i in range(12)]
        assert int(np.argmin(differences)) == place
        assert differences[place] < 6


def test_a_long_leaf_lies_whole_in_the_middle_of_its_white_square() -> None:
    sheet = make_sheet(25)
    assert sheet.shape == (2 * 48, 20 * 48, 3)
    place_thumbnail(sheet, 21, np.zeros((200, 100, 3), dtype=np.uint8))
    square = sheet[48:, 48:96, 0]
    assert (square[:, 12:36] == 0).all()
    assert (square[:, :12] == 255).all()
    assert (square[:, 36:] == 255).all()
    assert (sheet == 0).any(axis=2).sum() == 48 * 24


# --- mistakes ----------------------------------------------------------------------------------------------------


def test_mistakes_are_shown_the_surest_first_with_what_they_were_taken_for(tiny_copy: Path) -> None:
    listed = json.loads((tiny_copy / "families/fagaceae/activations.json").read_text())["specimens"]
    set_logits(tiny_copy, {listed[3]: (0, 2.0), listed[5]: (1, 4.0), listed[6]: (0, 0.5)})
    payload, files = illustrate_again(tiny_copy)
    assert [(each["specimen"], each["family"]) for each in payload["mistakes"]] == [
        (listed[5], "Cornaceae"),
        (listed[3], "Betulaceae"),
    ]
    first = payload["mistakes"][0]
    total = np.exp(4) + np.exp(1) + 10
    assert first["score"] == pytest.approx(np.exp(4) / total)
    assert first["own_score"] == pytest.approx(np.exp(1) / total)
    assert first["held_out"]
    assert payload["specimens"][listed[3]]["image"] in files


def test_held_out_mistakes_come_first_and_twelve_are_enough(tiny_copy: Path) -> None:
    path = tiny_copy / "catalogue.json"
    record = json.loads(path.read_text())
    listed = json.loads((tiny_copy / "families/fagaceae/activations.json").read_text())["specimens"]
    for each in record["specimens"]:
        if each["id"] in listed[:6]:
            each["split"] = "train"
    path.write_text(json.dumps(record))
    set_logits(tiny_copy, {name: (0, 9.0 - number / 2) for number, name in enumerate(listed)})
    payload, _ = illustrate_again(tiny_copy)
    assert [each["specimen"] for each in payload["mistakes"]] == [*listed[6:], *listed[:6]]
    assert [each["held_out"] for each in payload["mistakes"]] == [True] * 6 + [False] * 6


# --- withheld ----------------------------------------------------------------------------------------------------


def test_of_a_withheld_specimen_nothing_is_written(tiny_copy: Path) -> None:
    record = read_record(tiny_copy)
    hidden = record["representative"]
    place = json.loads((tiny_copy / "families/fagaceae/activations.json").read_text())["specimens"].index(hidden)
    withhold(tiny_copy, hidden)
    payload, files = illustrate_again(tiny_copy)
    assert hidden not in json.dumps([payload, sorted(files)])
    assert not list((tiny_copy / "families/fagaceae").rglob(f"*{hidden}*"))
    with Image.open(tiny_copy / payload["thumbnails"]["image"]) as sheet:
        square = np.asarray(sheet.convert("RGB"))[:, place * 48 + 4 : place * 48 + 44]
    assert square.min() > 240, "white, but for what the coding lets in from beside it"
    for name, crops in payload["crops"].items():
        kept = [crop["specimen"] for crop in record["crops"][name] if crop["specimen"] != hidden]
        assert {crop["specimen"] for crop in crops if crop["kind"] == "top"} >= {
            crop["specimen"] for crop in record["crops"][name] if crop["kind"] == "top" and crop["specimen"] in kept
        }, "the next strongest leaf takes its place"


def test_a_family_that_is_withheld_whole_shows_no_leaf(tiny_copy: Path) -> None:
    for identifier in json.loads((tiny_copy / "families/fagaceae/activations.json").read_text())["specimens"]:
        withhold(tiny_copy, identifier)
    payload, files = illustrate_again(tiny_copy)
    assert files == {}
    assert (payload["representative"], payload["thumbnails"], payload["specimens"]) == (None, None, {})
    assert set(payload["crops"]) == {"concept-01", "concept-02", "concept-03"}
    assert not any(payload["crops"].values())
