"""Where concepts sit, what they may be called, the shortcut alarm: of a small run, of bad pictures, of few leaves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import load_tiny
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file, save_file

from leaflineage.anatomy import TERM_BY_ID, LeafZones, find_zones
from leaflineage.anatomy.labels import ZONE_NAMES
from leaflineage.records import AtlasConcept, Catalogue, ConceptName, LeafPicture, ZoneShare
from leaflineage.stages import collect, extract, factorize, lying, name
from leaflineage.stages.context import Context
from leaflineage.store import Store

SLUG = "fagaceae"
FOUND: dict[bytes, LeafZones] = {}


def find_once(image: NDArray[np.uint8]) -> LeafZones:
    key = hashlib.sha256(image.tobytes()).digest()
    if key not in FOUND:
        FOUND[key] = find_zones(image)
    return FOUND[key]


def open_context(run: Path, *overrides: str) -> Context:
    return Context(Store(run), load_tiny(*overrides), SLUG)


def run_name(run: Path, *overrides: str) -> dict[str, Any]:
    return name.run(open_context(run, *overrides))[0]


def read(run: Path, file: str) -> Any:
    return json.loads((run / file).read_text(encoding="utf-8"))


def spoil(run: Path, *, but: int) -> None:
    """Make pictures of Fagaceae blank, all but a few."""
    catalogue = Catalogue.model_validate(read(run, "catalogue.json"))
    for each in [each for each in catalogue.specimens if each.family == "Fagaceae"][but:]:
        path = run / "specimens" / each.file
        with Image.open(path) as drawn:
            size = drawn.size
        path.unlink()  # the run may share its bytes
        Image.new("RGB", size, (236, 232, 222)).save(path)


@pytest.fixture(autouse=True)
def remember_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find the zones of one picture once in this file: that is nearly all that the stage's time goes into."""
    for module in (name, lying):
        monkeypatch.setattr(module, "find_zones", find_once)


# --- what it writes ------------------------------------------------------------------------------------------


def test_each_shown_concept_has_zones_a_leaf_and_an_honest_name(tiny_run: Path) -> None:
    for slug in ("betulaceae", SLUG, "ginkgoaceae"):
        record = read(tiny_run, f"families/{slug}/zones.json")
        assert record["concepts"].keys() == set(read(tiny_run, f"families/{slug}/importance.json")["shown"])
        assert record["n_usable"] + len(record["set_aside"]) == record["n_specimens"] == 12
        for concept in record["concepts"].values():
            shares = [ZoneShare.model_validate(each) for each in concept["zones"]]
            assert {each.zone for each in shares} <= set(ZONE_NAMES)
            assert [each.share for each in shares] == sorted((each.share for each in shares), reverse=True)
            assert 0.9 < sum(each.share for each in shares) <= 1 + 1e-5
            for each in shares:
                assert each.share_interval[0] <= each.share <= each.share_interval[1]
                assert each.interval[0] <= each.enrichment <= each.interval[1]
            picture = LeafPicture.model_validate(concept["leaf"])
            with Image.open(tiny_run / picture.image) as drawn:
                assert drawn.size == (picture.width, picture.height)
                assert drawn.mode == "RGBA"
            said = concept["suggested"]
            if said:
                assert 0 < said["confidence"] <= 1
                assert all(TERM_BY_ID[term].machine != "never" for term in said["terms"])
                assert len(said["reasons"]) == len(said["terms"])


def test_two_runs_give_the_same_record_and_the_same_pictures(tiny_run: Path, tiny_copy: Path) -> None:
    before = read(tiny_copy, f"families/{SLUG}/zones.json")
    payload, files = name.run(open_context(tiny_copy))
    assert files == before["files"]
    assert json.loads(json.dumps(payload["set_aside"])) == before["set_aside"]
    Store(tiny_copy).write_json("again.json", "zones", payload)
    again = read(tiny_copy, "again.json")
    assert {key: before[key] for key in again} == again
    for file in files:
        assert (tiny_copy / file).read_bytes() == (tiny_run / file).read_bytes()


def test_a_leaf_of_a_concept_that_is_shown_no_more_goes(tiny_copy: Path) -> None:
    stray = tiny_copy / f"families/{SLUG}/leaves/concept-09.webp"
    stray.write_bytes(b"a leaf")
    run_name(tiny_copy)
    assert not stray.exists()


# --- what it must not say ------------------------------------------------------------------------------------


@pytest.mark.parametrize("usable", [0, 4])
def test_of_fewer_than_five_leaves_nothing_is_said(tiny_copy: Path, usable: int) -> None:
    spoil(tiny_copy, but=usable)
    payload, files = name.run(open_context(tiny_copy))
    assert payload["n_usable"] == usable
    assert files == {}
    assert payload["is_placed"] is False
    assert payload["place_alarm"] is False
    assert all(payload["set_aside"].values())
    for concept in payload["concepts"].values():
        assert concept["zones"] == concept["place_flags"] == []
        assert concept["leaf"] is concept["suggested"] is concept["off_leaf_share"] is None
    assert list((tiny_copy / f"families/{SLUG}").glob("leaves/*.webp")) == []


def test_five_pictures_of_one_leaf_are_one_leaf(tiny_copy: Path) -> None:
    catalogue = read(tiny_copy, "catalogue.json")
    for each in catalogue["specimens"]:
        each["group"] = "one" if each["family"] == "Fagaceae" else each["group"]
    (tiny_copy / "catalogue.json").write_text(json.dumps(catalogue))
    assert run_name(tiny_copy)["is_placed"] is False


def test_a_specimen_that_was_removed_since_is_left_out_with_its_reason(tiny_copy: Path) -> None:
    gone = next(each for each in read(tiny_copy, "catalogue.json")["specimens"] if each["family"] == "Fagaceae")
    (tiny_copy / "specimens" / gone["file"]).unlink()
    payload = run_name(tiny_copy)
    assert gone["id"] in payload["set_aside"]
    assert payload["n_usable"] == read(tiny_copy, f"families/{SLUG}/zones.json")["n_usable"] - 1


def test_without_suggestions_places_are_told_all_the_same(tiny_copy: Path) -> None:
    before = read(tiny_copy, f"families/{SLUG}/zones.json")["concepts"]
    found = run_name(tiny_copy, "anatomy.suggest=false")["concepts"]
    for key, concept in found.items():
        assert concept["suggested"] is None
        assert [each["zone"] for each in concept["zones"]] == [each["zone"] for each in before[key]["zones"]]


def test_a_concept_that_is_on_no_leaf_has_numbers_that_can_be_written(tiny_copy: Path) -> None:
    path = tiny_copy / f"families/{SLUG}/concepts.safetensors"
    arrays = load_file(path)
    path.unlink()
    arrays["maps"][..., 0] = 0
    save_file({key: np.ascontiguousarray(each) for key, each in arrays.items()}, path)
    payload = run_name(tiny_copy)
    json.dumps(payload, allow_nan=False)
    assert payload["concepts"]["concept-01"]["zones"] == []
    assert payload["concepts"]["concept-01"]["leaf"] is None


# --- the alarm -----------------------------------------------------------------------------------------------


def point_at(run: Path, where: str) -> None:
    """Let the first concept be active in the outermost ring, or in the middle, and nowhere else."""
    path = run / f"families/{SLUG}/concepts.safetensors"
    arrays = load_file(path)
    maps = np.zeros(arrays["maps"].shape[:-1], dtype=np.float16)
    maps[:] = 1 if where == "ring" else 0
    maps[:, 1:-1, 1:-1] = 0 if where == "ring" else 1
    arrays["maps"][..., 0] = maps
    path.unlink()
    save_file({key: np.ascontiguousarray(each) for key, each in arrays.items()}, path)


def test_a_concept_beside_the_leaf_is_flagged_and_one_on_it_is_not(tiny_copy: Path) -> None:
    point_at(tiny_copy, "ring")
    found = run_name(tiny_copy)["concepts"]["concept-01"]
    assert "background" in found["place_flags"]
    assert found["off_leaf_share"] > 0.6
    point_at(tiny_copy, "middle")
    assert run_name(tiny_copy)["concepts"]["concept-01"]["place_flags"] == []


def test_where_cells_were_left_out_of_the_fit_the_alarm_by_place_is_off(tiny_copy: Path) -> None:
    point_at(tiny_copy, "ring")
    payload = run_name(tiny_copy, "concepts.min_leaf_share=0.2")
    assert payload["place_alarm"] is False
    assert payload["is_placed"] is True
    assert payload["concepts"]["concept-01"]["place_flags"] == []
    assert payload["concepts"]["concept-01"]["off_leaf_share"] > 0.6, "the number is told all the same"


def test_a_concept_that_tells_the_scanner_among_other_families_is_flagged(tiny_copy: Path) -> None:
    """Others' pictures of one source get a channel of their own; the concept is moved onto it."""
    context = open_context(tiny_copy)
    catalogue = read(tiny_copy, "catalogue.json")
    for number, each in enumerate(catalogue["specimens"]):
        each["source"] = "grey scanner" if each["family"] == "Fagaceae" or number % 2 else "camera"
    (tiny_copy / "catalogue.json").write_text(json.dumps(catalogue))
    context = open_context(tiny_copy)
    probe = read(tiny_copy, "probe.json")
    cells = load_file(tiny_copy / "probe.safetensors")
    sources = {each["id"]: each["source"] for each in catalogue["specimens"]}
    grey = np.array([sources[each] == "grey scanner" for each in probe["specimens"]])
    cells["cells"][..., 0] = 50.0 * grey.reshape(-1, *[1] * (cells["cells"].ndim - 2))
    (tiny_copy / "probe.safetensors").unlink()
    save_file({key: np.ascontiguousarray(each) for key, each in cells.items()}, tiny_copy / "probe.safetensors")
    path = tiny_copy / f"families/{SLUG}/concepts.safetensors"
    arrays = load_file(path)
    arrays["concept_bank"][0] = 0
    arrays["concept_bank"][0, 0] = 1
    path.unlink()
    save_file({key: np.ascontiguousarray(each) for key, each in arrays.items()}, path)
    found = name.run(context)[0]["concepts"]["concept-01"]
    others = [family != "Fagaceae" for family in probe["families"]]
    assert [int((grey == side)[others].sum()) for side in (True, False)] == [12, 12], "enough of either for an AUC"
    assert found["source_auc"]["grey scanner"] > 0.95
    assert found["source_auc"]["camera"] < 0.05
    assert found["source_flag"] == "grey scanner"
    assert run_name(tiny_copy)["concepts"]["concept-02"]["source_flag"] is None


def test_of_sources_the_family_has_the_one_it_tells_best_is_flagged_and_of_others_none() -> None:
    auc = {"camera": np.array([0.9, 0.5, 0.99]), "scanner": np.array([0.95, 0.2, 0.3]), "x": np.array([0.99, 0.9, 0.1])}
    assert name._find_told(auc, ["camera", "scanner"], 3) == ["scanner", None, "camera"]
    assert name._find_told(auc, [], 3) == name._find_told({}, ["camera"], 3) == [None, None, None]


def test_without_known_sources_nothing_is_said_of_them(tiny_copy: Path) -> None:
    catalogue = read(tiny_copy, "catalogue.json")
    for each in catalogue["specimens"]:
        each["source"] = None
    (tiny_copy / "catalogue.json").write_text(json.dumps(catalogue))
    for concept in run_name(tiny_copy)["concepts"].values():
        assert (concept["source_auc"], concept["source_flag"]) == ({}, None)


# --- what is left out of the fit -----------------------------------------------------------------------------


def test_cells_and_crops_with_little_leaf_are_left_out_and_counted(tiny_copy: Path) -> None:
    """By default nothing is: that would hide the shortcut which the alarm is to find."""
    assert read(tiny_copy, f"families/{SLUG}/activations.json")["n_off_leaf_cells"] == 0
    overrides = ("concepts.min_leaf_share=0.3", "concepts.fit_on=both", "concepts.drop_blank=false")
    context = open_context(tiny_copy, *overrides)
    payload, _ = extract.run(context)
    arrays = load_file(tiny_copy / f"families/{SLUG}/activations.safetensors")
    assert 0 < payload["n_off_leaf_cells"] == arrays["off_leaf"].sum() < payload["n_cells"]
    assert payload["n_off_leaf_crops"] > 0
    crops = load_file(tiny_copy / f"families/{SLUG}/crop-activations.safetensors")
    assert len(crops["crops"]) == payload["n_crops"]
    record = {**read(tiny_copy, f"families/{SLUG}/activations.json"), **payload}
    (tiny_copy / f"families/{SLUG}/activations.json").write_text(json.dumps(record))
    fitted, _ = factorize.run(context)
    assert fitted["n_fitted"] == payload["n_cells"] - payload["n_off_leaf_cells"] + payload["n_crops"]
    maps = load_file(tiny_copy / f"families/{SLUG}/concepts.safetensors")["maps"]
    assert maps[..., 0].size == payload["n_cells"], "what was left out of the fit is encoded all the same"


def test_where_no_leaf_can_be_told_nothing_is_left_out(tiny_copy: Path) -> None:
    spoil(tiny_copy, but=0)
    payload, _ = extract.run(open_context(tiny_copy, "concepts.min_leaf_share=0.3", "concepts.drop_blank=false"))
    assert payload["n_off_leaf_cells"] == 0


# --- what the atlas says -------------------------------------------------------------------------------------


def collect_concepts(run: Path, *overrides: str) -> tuple[dict[str, AtlasConcept], dict[str, Any], dict[str, Any]]:
    manifest, _ = collect.run(Context(Store(run), load_tiny(*overrides)))
    family = read(run, f"families/{SLUG}/family.json")["family"]
    return {each["id"]: AtlasConcept.model_validate(each) for each in family["concepts"]}, family, manifest


def test_what_was_found_reaches_the_atlas(tiny_run: Path) -> None:
    family = read(tiny_run, f"families/{SLUG}/family.json")["family"]
    zones = read(tiny_run, f"families/{SLUG}/zones.json")
    assert (family["n_located"], family["place_alarm"]) == (zones["n_usable"], True)
    for each in family["concepts"]:
        found = zones["concepts"][each["id"].partition("/")[2]]
        assert (each["zones"], each["leaf"]) == (found["zones"], found["leaf"])
        assert set(each["flags"]) - {"unstable"} == set(found["place_flags"])
        if found["suggested"]:
            assert each["name"] == {
                **ConceptName(source="suggested", **found["suggested"]).model_dump(mode="json"),
            }


def test_flagged_concepts_hold_their_share_of_the_familys_importance(tiny_copy: Path) -> None:
    point_at(tiny_copy, "ring")
    store = Store(tiny_copy)
    store.write_json(f"families/{SLUG}/zones.json", "zones", run_name(tiny_copy))
    concepts, family, _ = collect_concepts(tiny_copy)
    flagged = [each for each in concepts.values() if set(each.flags) - {"unstable"}]
    assert f"{SLUG}/concept-01" in [each.id for each in flagged]
    assert family["shortcut_share"] == pytest.approx(sum(each.importance.share for each in flagged), abs=1e-5)
    store.write_json(f"families/{SLUG}/zones.json", "zones", run_name(tiny_copy, "concepts.min_leaf_share=0.1"))
    concepts, family, _ = collect_concepts(tiny_copy)
    assert (family["place_alarm"], family["shortcut_share"]) == (False, None), "neither alarm could be raised"


def test_an_experts_name_wins_and_the_suggestion_stands_beside_it(tiny_copy: Path, tmp_path: Path) -> None:
    before = {each["id"]: each for each in read(tiny_copy, f"families/{SLUG}/family.json")["family"]["concepts"]}
    first, second, third = (before[f"{SLUG}/concept-0{number}"] for number in (1, 2, 3))
    path = tmp_path / "names.toml"
    path.write_text(
        f'"{SLUG}/concept-01" = {{ name = "Lobes", uid = "{first["uid"]}", terms = ["lobe"], author = "N. N.", '
        'date = 2026-11-26, note = "clear", agree = ["A. B."], disagree = ["C. D."] }\n'
        f'"{SLUG}/concept-03" = {{ name = "Moved", uid = "{second["uid"]}" }}\n'
        f'"{SLUG}/concept-02" = {{ name = "Lost", uid = "gone" }}\n',
        encoding="utf-8",
    )
    concepts, _, manifest = collect_concepts(tiny_copy, f"anatomy.names={json.dumps(str(path))}")
    name = concepts[first["id"]].name
    assert name is not None
    assert (name.text, name.source, name.author, name.date, name.line) == ("Lobes", "expert", "N. N.", "2026-11-26", 1)
    assert (name.note, name.agree, name.disagree, name.terms) == ("clear", ["A. B."], ["C. D."], ["lobe"])
    assert (name.file, name.confidence) == ("names.toml", None)
    assert name.suggested == (first["name"]["text"] if first["name"] else None)
    moved = concepts[second["id"]].name
    assert moved is not None
    assert moved.text == "Moved"
    assert manifest["names"] == {
        "moved": [[third["id"], second["id"], "Moved", 1.0]],
        "lost": [[second["id"], "Lost"]],
    }
    kept = concepts[third["id"]].name
    assert (kept.model_dump(mode="json") if kept else None) == third["name"]
