"""Computed pictures as files: smaller copies, words about rights, nothing of a specimen that is withheld."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import load_tiny
from PIL import Image

from leaflineage.records import name_smaller
from leaflineage.stages import collect, contrast, illustrate, visualize, visualizing
from leaflineage.stages.context import Context
from leaflineage.store import Store, hash_json

FOLDER = "families/fagaceae"


def make_context(run: Path, *overrides: str) -> Context:
    return Context(Store(run), load_tiny(*overrides), "fagaceae")


def list_visualizations(record: Any) -> list[dict[str, Any]]:
    return [record["family"], *(each for found in record["visualizations"].values() for each in found)]


def read_record(run: Path) -> Any:
    return json.loads((run / FOLDER / "visualizations.json").read_text())


def read_xmp(path: Path) -> str:
    with Image.open(path) as image:
        return str(image.info["xmp"].decode())


def test_a_computed_picture_lies_in_smaller_widths_too_and_is_one_of_the_stages_files(tiny_run: Path) -> None:
    record = read_record(tiny_run)
    for each in list_visualizations(record):
        assert each["smaller"] == [32]  # of 64 px: half; 96 and 192 would be larger
        small = name_smaller(each["image"], 32)
        assert {each["image"], small} <= set(record["files"])
        with Image.open(tiny_run / small) as image, Image.open(tiny_run / each["image"]) as whole:
            assert image.size == (32, 32)
            wanted = np.asarray(whole.convert("RGB").resize((32, 32), Image.Resampling.LANCZOS)).astype(float)
            if whole.mode == "RGB":
                assert np.abs(np.asarray(image.convert("RGB")) - wanted).mean() < 12
        assert read_xmp(tiny_run / small) == read_xmp(tiny_run / each["image"])


def test_a_computed_picture_says_so_and_an_accentuated_crop_is_its_specimens(tiny_run: Path) -> None:
    kinds = set()
    for each in list_visualizations(read_record(tiny_run)):
        xmp = read_xmp(tiny_run / each["image"])
        kinds.add(each["kind"])
        assert ">MIT<" in xmp
        origin = "computed by LeafLineage from leaves of Fagaceae (drawn)"
        assert (origin in xmp) == (each["kind"] != "accentuation")
        assert ("LeafLineage drawn herbarium" in xmp) == (each["kind"] == "accentuation")
    assert kinds == {"concept", "family", "accentuation"}


def test_another_licence_labels_pictures_anew_and_draws_none(tiny_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    licence = 'atlas.licences={images="CC0 1.0"}'

    def refuse(*arguments: object, **keywords: object) -> None:
        raise AssertionError("nothing is to be drawn")

    def read_pixels() -> dict[str, Any]:
        found = {}
        for each in list_visualizations(read_record(tiny_copy)):
            with Image.open(tiny_copy / each["image"]) as image:
                found[each["image"]] = np.asarray(image)
        return found

    before = read_pixels()
    with monkeypatch.context() as patch:
        patch.setattr(visualizing, "visualize_concepts", refuse)
        payload, files = visualize.run(make_context(tiny_copy, licence))
    for path, pixels in read_pixels().items():
        np.testing.assert_array_equal(pixels, before[path])
    for each in list_visualizations(payload):
        assert (">CC0 1.0<" in read_xmp(tiny_copy / each["image"])) == (each["kind"] != "accentuation")
    assert payload["visualizations"].keys() == read_record(tiny_copy)["visualizations"].keys()
    for path in (tiny_copy / FOLDER / "visualizations").iterdir():
        path.unlink()
    drawn, files_again = visualize.run(make_context(tiny_copy, licence))
    assert files_again == files, "as drawn from nothing"
    assert hash_json(drawn) == hash_json(payload)


def test_a_specimen_that_is_withheld_is_in_no_record_table_or_picture(tiny_copy: Path) -> None:
    accentuated = [e for e in list_visualizations(read_record(tiny_copy)) if e["kind"] == "accentuation"]
    hidden = accentuated[0]["specimen"]
    path = tiny_copy / "catalogue.json"
    catalogue = json.loads(path.read_text())
    label = next(each for each in catalogue["specimens"] if each["id"] == hidden)
    label["withheld"] = True
    path.write_text(json.dumps(catalogue))
    context, store = make_context(tiny_copy), Store(tiny_copy)
    for stage, name, kind in (
        (illustrate, "crops", "crops"),
        (contrast, "contrasts", "contrasts"),
        (visualize, "visualizations", "visualizations"),
    ):
        payload, files = stage.run(context)
        store.commit(f"{FOLDER}/{name}.json", kind, payload, fingerprint="x", files=files)
    collect.run(Context(store, load_tiny()))
    names = ["atlas.json", "index.json", "specimens.csv"]
    for slug in ("betulaceae", "fagaceae", "ginkgoaceae"):
        names += [f"families/{slug}/family.json", f"families/{slug}/importances.csv"]
    for name in names:
        content = (tiny_copy / name).read_text()
        assert hidden not in content, name
        assert label["group"] not in content, name
    family = json.loads((tiny_copy / FOLDER / "family.json").read_text())["family"]
    assert family["image_specimens"].count("withheld") == 1
    assert family["n_specimens"] == len(family["image_specimens"]) == len(family["layout"]) == 12
    assert not [each for each in (tiny_copy / FOLDER).rglob("*.webp") if hidden in each.name]
