"""The whole chain on drawn leaves: what it writes, what it skips, what it makes again."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT, SilentReporter, build_tiny, find_differences, load_tiny, read_tree
from PIL import Image
from safetensors.numpy import load_file

from leaflineage import pipeline
from leaflineage.cli import main
from leaflineage.config import load_config
from leaflineage.errors import ArtifactError, LeafLineageError
from leaflineage.freshness import find_stale
from leaflineage.pipeline import build
from leaflineage.records import AtlasRecord, FamilyRecord, Index
from leaflineage.store import Store

pytestmark = pytest.mark.slow


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text(encoding="utf-8"))


def list_built(run: Path) -> list[Any]:
    return [family for family in read(run, "atlas.json")["families"] if family["missing"] is None]


# --- what it writes ------------------------------------------------------------------------------------------


def test_the_records_follow_their_contracts(tiny_run: Path) -> None:
    atlas = AtlasRecord.model_validate(read(tiny_run, "atlas.json"))
    index = Index.model_validate(read(tiny_run, "index.json"))
    assert [family.slug for family in atlas.families] == sorted(family.slug for family in atlas.families)
    assert len(atlas.families) == len(index.families) == atlas.classifier.n_outputs
    for family in atlas.families:
        record = FamilyRecord.model_validate(read(tiny_run, f"families/{family.slug}/family.json"))
        assert record.family == family


def test_shares_and_rest_sum_to_one_and_ranks_fall(tiny_run: Path) -> None:
    built = list_built(tiny_run)
    assert len(built) == 3
    for family in built:
        shares = [concept["importance"]["share"] for concept in family["concepts"]]
        assert sum(shares) + family["rest"]["share"] == pytest.approx(1, abs=1e-5)
        assert shares == sorted(shares, reverse=True)
        assert [concept["rank"] for concept in family["concepts"]] == list(range(1, len(shares) + 1))
        assert family["explained_share"] == pytest.approx(1 - family["rest"]["residual_share"], abs=1e-5)


def test_importance_can_be_computed_again_from_the_published_files(tiny_run: Path) -> None:
    head = load_file(tiny_run / "head.safetensors")
    weight = head["weight"].astype(np.float64)
    for family in list_built(tiny_run):
        folder = tiny_run / "families" / family["slug"]
        arrays, pooled = load_file(folder / "concepts.safetensors"), load_file(folder / "pooled.safetensors")
        theta = weight[family["output_index"]] - weight.mean(axis=0)
        coefficients = arrays["maps"].astype(np.float64).mean(axis=(1, 2))
        players = coefficients * (arrays["concept_bank"].astype(np.float64) @ theta)
        residual = (pooled["pooled"] - coefficients @ arrays["concept_bank"].astype(np.float64)) @ theta
        squares = np.concatenate([players, residual[:, None]], axis=1) ** 2
        indices = (squares / squares.sum(axis=1, keepdims=True)).mean(axis=0)
        for concept in family["concepts"]:
            importance = concept["importance"]
            assert importance["exact"] is True
            assert importance["total_sobol_index"] == pytest.approx(indices[concept["concept_index"]], abs=1e-5)
            assert importance["interval"][0] <= importance["total_sobol_index"] <= importance["interval"][1]
            mean = players[:, concept["concept_index"]].mean()
            assert importance["contribution"] == pytest.approx(mean, abs=1e-4)


def test_contributions_and_bias_sum_to_the_mean_centred_logit(tiny_run: Path) -> None:
    for family in list_built(tiny_run):
        logits = load_file(tiny_run / "families" / family["slug"] / "pooled.safetensors")["logits"]
        centred = (logits[:, family["output_index"]] - logits.mean(axis=1)).mean()
        parts = [concept["importance"]["contribution"] for concept in family["concepts"]]
        assert sum(parts) + family["rest"]["contribution"] + family["bias"] == pytest.approx(centred, abs=1e-3)


def test_contributions_to_every_family_sum_to_the_mean_centred_logits(tiny_run: Path) -> None:
    built = {family["slug"]: family for family in list_built(tiny_run)}
    for slug, family in built.items():
        record = FamilyRecord.model_validate(read(tiny_run, f"families/{slug}/family.json"))
        assert record.compared == list(built)
        assert set(record.contributions) == {*(concept["id"] for concept in family["concepts"]), "rest", "bias"}
        logits = load_file(tiny_run / "families" / slug / "pooled.safetensors")["logits"].astype(np.float64)
        centred = (logits - logits.mean(axis=1, keepdims=True)).mean(axis=0)
        for place, other in enumerate(record.compared):
            total = sum(values[place] for values in record.contributions.values())
            assert total == pytest.approx(centred[built[other]["output_index"]], abs=1e-3)
        own = record.compared.index(slug)
        for concept in family["concepts"]:
            wanted = concept["importance"]["contribution"]
            assert record.contributions[concept["id"]][own] == pytest.approx(wanted, abs=1e-4)


def test_families_and_concepts_have_places_on_the_maps_and_specimens_have_neighbours(tiny_run: Path) -> None:
    built = {family["slug"]: family for family in list_built(tiny_run)}
    for each in [*built.values(), *(concept for family in built.values() for concept in family["concepts"])]:
        assert all(0 <= coordinate <= 1 for coordinate in each["position"])
    pooled, listed = [], []
    for slug in built:
        rows = load_file(tiny_run / "families" / slug / "pooled.safetensors")["pooled"].astype(np.float64)
        pooled += list(rows / np.linalg.norm(rows, axis=1, keepdims=True))
        listed += [(slug, place, name) for place, name in enumerate(built[slug]["image_specimens"])]
    names = [name for _, _, name in listed]
    groups = {each["id"]: each["group"] for each in read(tiny_run, "catalogue.json")["specimens"]}
    for specimen in read(tiny_run, "atlas.json")["specimens"]:
        own = names.index(specimen["id"])
        cosines = np.stack(pooled) @ pooled[own]
        cosines[own] = -1
        assert len(specimen["neighbours"]) == 6
        for near, index in zip(specimen["neighbours"], np.argsort(-cosines, kind="stable"), strict=False):
            assert near["similarity"] == pytest.approx(cosines[index], abs=1e-5)
            assert (near["family"], near["place"], near["id"]) in listed
            assert near["same_group"] == (groups[near["id"]] == specimen["group"])


def test_top_crops_come_from_different_leaves_and_lie_inside_them(tiny_run: Path) -> None:
    atlas = read(tiny_run, "atlas.json")
    specimens = {each["id"]: each for each in atlas["specimens"]}
    for family in list_built(tiny_run):
        for concept in family["concepts"]:
            for kind in ("top", "p99", "p90", "p50", "counter"):
                crops = [crop for crop in concept["crops"] if crop["kind"] == kind]
                groups = [specimens[crop["specimen"]]["group"] for crop in crops]
                assert groups
                assert len(set(groups)) == len(groups)
                coefficients = [crop["coefficient"] for crop in crops]
                assert coefficients == sorted(coefficients, reverse=True)
            for crop in concept["crops"]:
                x0, y0, x1, y1 = crop["box"]
                specimen = specimens[crop["specimen"]]
                assert 0 <= x0 < x1 <= specimen["original_width"]
                assert 0 <= y0 < y1 <= specimen["original_height"]
                assert (tiny_run / crop["image"]).is_file()
                assert (tiny_run / crop["heatmap"]).is_file()


def test_families_without_specimens_stay_with_their_reason(tiny_run: Path) -> None:
    missing = [family for family in read(tiny_run, "atlas.json")["families"] if family["missing"]]
    assert len(missing) == 9
    assert {family["missing"] for family in missing} == {"no specimens"}


def test_no_record_holds_a_path_of_this_machine(tiny_run: Path) -> None:
    for name, content in read_tree(tiny_run).items():
        if name.endswith((".json", ".csv", ".html", ".js")):
            assert str(tiny_run).encode() not in content, name
            assert str(ROOT).encode() not in content, name


# --- the same bits -------------------------------------------------------------------------------------------


def test_one_job_and_two_give_the_same_bytes(tiny_run: Path, tmp_path: Path) -> None:
    build_tiny(tmp_path / "run", jobs=2)
    assert find_differences(tiny_run, tmp_path / "run") == []


def test_another_seed_gives_other_pictures(tiny_run: Path, tiny_copy: Path) -> None:
    build_tiny(tiny_copy, "run.seed=1")
    changed = find_differences(tiny_run, tiny_copy)
    assert "families/betulaceae/visualizations/concept-01.webp" in changed


# --- what is fresh -------------------------------------------------------------------------------------------


def test_a_second_build_finds_all_fresh_and_never_imports_torch(tiny_copy: Path) -> None:
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, 'tests'); import conftest;"
        f"report = conftest.build_tiny(Path({str(tiny_copy)!r}), jobs=2);"
        "assert report.all_fresh, report.built; assert 'torch' not in sys.modules; print('fresh')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "fresh" in done.stdout


def test_more_steps_draw_the_concepts_again_and_leave_the_rest(tiny_copy: Path) -> None:
    report = build_tiny(tiny_copy, "visualize.steps=12")
    assert [name for name, slugs in report.built.items() if slugs] == ["visualize", "recurse", "collect", "bake"]


def test_a_changed_title_collects_and_bakes_only(tiny_copy: Path) -> None:
    report = build_tiny(tiny_copy, "atlas.title=Another")
    assert [name for name, slugs in report.built.items() if slugs] == ["collect", "bake"]
    assert "Another" in (tiny_copy / "site" / "index.html").read_text(encoding="utf-8")


def test_a_changed_line_of_the_experts_names_collects_and_bakes_only_and_lost_ones_are_reported(
    tiny_copy: Path, tmp_path: Path
) -> None:
    uid = read(tiny_copy, "families/fagaceae/concepts.json")["uids"][1]
    path, override = tmp_path / "names.toml", f"anatomy.names={json.dumps(str(tmp_path / 'names.toml'))}"
    line = '"fagaceae/concept-01" = {{ name = "{name}", uid = "{uid}", author = "N. N." }}\n'
    path.write_text(line.format(name="Stalk", uid=uid), encoding="utf-8")
    report = build_tiny(tiny_copy, override)
    assert [name for name, slugs in report.built.items() if slugs] == ["collect", "bake"]
    assert "the name 'Stalk' of fagaceae/concept-01 now stands at fagaceae/concept-02 (cosine 1.00)" in report.notes
    page = tiny_copy / "site/families/fagaceae/concept-02.html"
    assert "<h1>Stalk</h1>" in page.read_text(encoding="utf-8")
    assert build_tiny(tiny_copy, override).all_fresh
    path.write_text(line.format(name="Stalk", uid="gone"), encoding="utf-8")
    report = build_tiny(tiny_copy, override)
    assert [name for name, slugs in report.built.items() if slugs] == ["collect", "bake"]
    assert any("warning: the name 'Stalk' of fagaceae/concept-01 names no concept" in note for note in report.notes)
    assert "<h1>Stalk</h1>" not in page.read_text(encoding="utf-8")


def test_a_changed_template_bakes_only(tiny_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = pipeline.hash_site_inputs
    monkeypatch.setattr(pipeline, "hash_site_inputs", lambda *arguments: hashed(*arguments) + "changed")
    report = build_tiny(tiny_copy)
    assert [name for name, slugs in report.built.items() if slugs] == ["bake"]


def test_a_withdrawn_specimen_is_in_nothing_that_the_next_build_makes(tiny_copy: Path, tmp_path: Path) -> None:
    gone = read(tiny_copy, "families/fagaceae/family.json")["family"]["concepts"][0]["crops"][0]["specimen"]
    done = CliRunner().invoke(main, ["withdraw", gone, "--run", str(tiny_copy)])
    assert done.exit_code == 0, done.output
    report = build_tiny(tiny_copy)
    assert report.built["illustrate"] == ["fagaceae"]
    assert report.built["extract"] == report.built["factorize"] == report.built["rank"] == []  # the numbers stay
    records = ["atlas.json", "index.json", "specimens.csv", "families/fagaceae/family.json"]
    for path in [*(tiny_copy / name for name in records), *(tiny_copy / "site").rglob("*")]:
        if path.is_file() and path.suffix in (".html", ".js", ".json", ".csv"):
            assert gone not in path.read_text(encoding="utf-8"), path
    (tmp_path / "withdrawn.txt").write_text(f"{gone}\nno-such-leaf\n")
    (tiny_copy / "withdrawn.txt").unlink()
    report = build_tiny(tiny_copy, f"specimens.withdrawn={tmp_path / 'withdrawn.txt'}")  # the list beside the config
    assert [name for name, slugs in report.built.items() if slugs] == ["bake"]
    assert any("1 withdrawn specimen is not in the catalogue" in note for note in report.notes)


def test_a_licence_of_the_atlas_is_that_of_specimens_without_one(tiny_copy: Path) -> None:
    build_tiny(tiny_copy, "atlas.licences.images=CC0-1.0")
    licences = {each["licence"] for each in read(tiny_copy, "catalogue.json")["specimens"]}
    assert licences == {"MIT"}  # drawn leaves have one of their own


def test_dropped_cells_are_extracted_again_when_concepts_change(tiny_run: Path, tiny_copy: Path) -> None:
    assert not (tiny_copy / "families/betulaceae/activations.safetensors").exists()
    report = build_tiny(tiny_copy, "concepts.n_concepts=2")
    assert report.built["extract"] == report.built["factorize"] == ["betulaceae", "fagaceae", "ginkgoaceae"]
    build_tiny(tiny_copy)
    assert find_differences(tiny_run, tiny_copy) == []


@pytest.mark.slow
def test_showing_fewer_concepts_of_a_run_gives_what_a_build_from_nothing_gives(tiny_copy: Path, tmp_path: Path) -> None:
    report = build_tiny(tiny_copy, "atlas.n_shown=2")
    assert report.built["rank"] == ["betulaceae", "fagaceae", "ginkgoaceae"]
    assert report.built["extract"] == report.built["fidelity"] == []  # they do not depend on what is shown
    build_tiny(tmp_path / "fresh", "atlas.n_shown=2")
    assert find_differences(tiny_copy, tmp_path / "fresh") == []


def test_cells_that_were_dropped_come_back_for_a_stage_that_turns_stale_on_the_way(
    tiny_run: Path, tiny_copy: Path
) -> None:
    """`rank` is made again and gives other numbers: only then does `fidelity` want cells."""
    arrays = tiny_copy / "families/fagaceae/importance.safetensors"
    content = arrays.read_bytes()
    store = Store(tiny_copy)
    record = json.loads((tiny_copy / "families/fagaceae/fidelity.json").read_text())
    record["fingerprint"] = "made of other importances"
    store.write_json("families/fagaceae/fidelity.json", "fidelity", record)
    arrays.unlink()
    assert find_stale(load_tiny(), tiny_copy)["extract"] == 1
    report = build_tiny(tiny_copy)
    assert report.built["extract"] == report.built["rank"] == report.built["fidelity"] == ["fagaceae"]
    assert arrays.read_bytes() == content
    assert find_differences(tiny_run, tiny_copy) == []


@pytest.mark.slow
def test_a_split_without_an_affine_head_leaves_no_head_of_the_split_before(tiny_copy: Path) -> None:
    assert (tiny_copy / "head.safetensors").exists()
    quick = ("visualize.steps=1", "concepts.refits=0", "concepts.n_attributions=0", "importance.max_evaluations=64")
    build_tiny(tiny_copy, "classifier.layer=blocks.6", *quick)
    assert not (tiny_copy / "head.safetensors").exists()
    assert not (tiny_copy / "site/data/head.safetensors").exists()


@pytest.mark.parametrize(
    ("damaged", "again"),
    [
        ("families/fagaceae/visualizations.json", "visualize"),
        ("families/fagaceae/crops/concept-01/00.webp", "illustrate"),
        ("families/fagaceae/concepts.safetensors", "factorize"),
    ],
)
def test_what_is_missing_or_damaged_is_made_again_for_that_family_alone(
    tiny_run: Path, tiny_copy: Path, damaged: str, again: str
) -> None:
    target = tiny_copy / damaged
    content = target.read_bytes()
    target.unlink()  # the site holds a hard link to the same bytes
    if damaged.endswith(".safetensors"):
        target.write_bytes(content[:-7] + b"damaged")
    report = build_tiny(tiny_copy)
    assert report.built[again] == ["fagaceae"]
    assert find_differences(tiny_run, tiny_copy) == []


@pytest.mark.parametrize(
    ("damaged", "content"),
    [("site.json", "{"), ("site/families/fagaceae/index.html", None), ("site/site.json", None)],
)
def test_a_site_that_is_not_whole_is_baked_again(
    tiny_run: Path, tiny_copy: Path, damaged: str, content: str | None
) -> None:
    if damaged == "site/site.json":
        shutil.rmtree(tiny_copy / "site")
    elif content is None:
        (tiny_copy / damaged).unlink()
    else:
        (tiny_copy / damaged).write_text(content)
    report = build_tiny(tiny_copy)
    assert [name for name, built in report.built.items() if built] == ["bake"]
    assert find_differences(tiny_run, tiny_copy) == []


def test_baking_again_keeps_the_settings_of_the_site(tiny_copy: Path) -> None:
    address = "https://example.org/atlas/"
    build_tiny(tiny_copy, f"site.base_url={address}", "site.repository=https://example.org/code")
    home, site = tiny_copy / "site" / "index.html", read_tree(tiny_copy / "site")
    assert CliRunner().invoke(main, ["bake", str(tiny_copy)]).exit_code == 0
    assert read_tree(tiny_copy / "site") == site
    assert build_tiny(tiny_copy, f"site.base_url={address}", "site.repository=https://example.org/code").all_fresh
    assert CliRunner().invoke(main, ["bake", str(tiny_copy), "--base-url", "https://other.org/"]).exit_code == 0
    assert "other.org" in home.read_text()
    build_tiny(tiny_copy, f"site.base_url={address}", "site.repository=https://example.org/code")
    assert "other.org" not in home.read_text()


def test_a_build_that_was_killed_goes_on_where_it_was(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leaflineage.stages import illustrate

    run = tmp_path / "run"

    def die(context: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(illustrate, "run", die)
        with pytest.raises(KeyboardInterrupt):
            build_tiny(run)
    report = build_tiny(run)
    assert report.built["extract"] == report.built["factorize"] == report.built["rank"] == []
    assert len(report.built["illustrate"]) == 3
    assert find_differences(tiny_run, run) == []


def test_an_error_in_one_family_lets_the_others_finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from leaflineage.stages import factorize

    proper = factorize.run

    def fail_once(context: Any) -> Any:
        if context.slug == "betulaceae":
            raise ArtifactError("betulaceae: something is wrong.")
        return proper(context)

    monkeypatch.setattr(factorize, "run", fail_once)
    with pytest.raises(LeafLineageError, match="betulaceae"):
        build_tiny(tmp_path / "run")
    assert (tmp_path / "run/families/ginkgoaceae/concepts.json").is_file()


# --- folders, tables, queries --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def leaves(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn leaves as somebody's folder of pictures."""
    root = tmp_path_factory.mktemp("leaves") / "leaves"
    for family in ("Betulaceae", "Ginkgoaceae"):
        shutil.copytree(tiny_run / "specimens" / family, root / family, ignore=shutil.ignore_patterns("*.zones.png"))
    return root


def build_folder(root: Path, run: Path, *overrides: str) -> Any:
    config = load_tiny(f"specimens.root={root}", "atlas.families=[]", *overrides)
    return build(config, run, out=None, reporter=SilentReporter(), jobs=1)


def test_changing_one_picture_rebuilds_its_family_alone_and_equals_a_build_from_nothing(
    leaves: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(leaves, tmp_path / "leaves"))
    build_folder(root, tmp_path / "run")
    first, second = sorted((root / "Ginkgoaceae").iterdir())[:2]
    shutil.copyfile(second, first)
    report = build_folder(root, tmp_path / "run")
    for stage in ("factorize", "rank", "illustrate", "visualize"):
        assert report.built[stage] == ["ginkgoaceae"], stage
    # So small a folder is all in the sample that every family's concepts are tried on, for which cells are needed.
    assert report.built["extract"] == report.built["fidelity"] == ["betulaceae", "ginkgoaceae"]
    build_folder(root, tmp_path / "again")
    assert find_differences(tmp_path / "run", tmp_path / "again") == []


def test_bad_pictures_are_set_aside_and_listed_and_end_nothing(leaves: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(leaves, tmp_path / "leaves"))
    good = sorted((root / "Betulaceae").iterdir())[0].read_bytes()
    (root / "Betulaceae" / "truncated.png").write_bytes(good[: len(good) // 2])
    (root / "Betulaceae" / "empty.jpg").write_bytes(b"")
    (root / "Betulaceae" / "drawing.jpg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    report = build_folder(root, tmp_path / "run")
    assert len(report.set_aside) == 3
    assert all(report.set_aside.values())
    assert read(tmp_path / "run", "report.json")["set_aside"] == report.set_aside
    assert read(tmp_path / "run", "index.json")["n_set_aside"] == 3


def test_families_of_white_of_tiny_and_of_equal_pictures_end_nothing(leaves: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(leaves, tmp_path / "leaves"))
    for family in ("Ulmaceae", "Moraceae", "Fagaceae"):
        (root / family).mkdir()
    leaf = sorted((root / "Ginkgoaceae").iterdir())[0]
    for number in range(5):
        Image.new("RGB", (90, 60), (255, 255, 255)).save(root / "Ulmaceae" / f"white-{number}.png")
        Image.new("RGB", (1, 1 + number), (30, 90, 30)).save(root / "Moraceae" / f"tiny-{number}.png")
        shutil.copyfile(leaf, root / "Fagaceae" / f"same-{number}.png")
    report = build_folder(root, tmp_path / "run", "classifier.trust_names=true")
    assert report.n_families == 5
    assert report.problems == []


def test_a_specimen_without_a_family_is_explained_and_enters_no_statistic(leaves: Path, tmp_path: Path) -> None:
    rows = [(f"{path.parent.name}/{path.name}", path.parent.name) for path in sorted(leaves.rglob("*.png"))]
    rows[0] = (rows[0][0], "")
    table = tmp_path / "leaves.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("path", "family"), *rows])
    run = tmp_path / "run"
    report = build_folder(leaves, run, f"specimens.catalogue={table}")
    assert report.problems == []
    query = read(run, "index.json")["queries"][0]
    assert query["role"] == "query"
    assert query["family"] is None
    assert query["predicted"][0]["family"] == "Betulaceae"
    betulaceae = next(family for family in list_built(run) if family["slug"] == "betulaceae")
    assert betulaceae["n_specimens"] == 11
    parts = [value for name, value in query["contributions"].items() if name.startswith("betulaceae/")]
    assert len(parts) == 5  # three concepts, the rest, the bias
    assert len(query["neighbours"]) == 6
    places = {family["slug"]: family["image_specimens"] for family in list_built(run)}
    assert all(places[near["family"]][near["place"]] == near["id"] for near in query["neighbours"])
    assert any((run / "site" / "specimens").glob("*.html"))


def test_a_head_that_is_not_affine_gets_sampled_importances(leaves: Path, tmp_path: Path) -> None:
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = timm.create_model("mobilenetv4_conv_small_035", pretrained=False, num_classes=2)
    folder = tmp_path / "classifier"
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    config = {
        "architecture": "mobilenetv4_conv_small_035",
        "num_classes": 2,
        "pretrained_cfg": {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.5] * 3,
                           "interpolation": "bicubic", "label_names": ["Betulaceae", "Ginkgoaceae"]},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    run = tmp_path / "run"
    overrides = ("classifier.trust_names=true", "importance.half_width=0.2", "importance.max_evaluations=20000")
    report = build_folder(leaves, run, f"classifier.source={folder}", *overrides)
    assert report.problems == []
    for family in list_built(run):
        assert all(concept["importance"]["exact"] is False for concept in family["concepts"])
        shares = [concept["importance"]["share"] for concept in family["concepts"]]
        assert sum(shares) + family["rest"]["share"] == pytest.approx(1, abs=1e-5)


# --- real leaves ---------------------------------------------------------------------------------------------


def test_two_families_of_real_leaves_are_built_from_settings_alone(shared: Path, tmp_path: Path) -> None:
    config = load_config(
        ROOT / "configs" / "template.toml",
        overrides=[
            f"specimens.root={shared / 'leaves'}",
            f"specimens.catalogue={shared / 'leaves.csv'}",
            f"classifier.source={shared / 'classifiers' / 'leaf-families'}",
            "specimens.split=md5:5",
            "concepts.n_concepts=4",
            "concepts.refits=0",
            "visualize.size=96",
            "visualize.steps=2",
            "visualize.crops=1",
        ],
        flags={"atlas.families": ["Betulaceae", "Fagaceae"]},
    )
    report = build(config, tmp_path / "run", out=None, reporter=SilentReporter(), jobs=1)
    assert report.problems == []
    assert report.n_families == 2
    for family in list_built(tmp_path / "run"):
        assert family["explained_share"] > 0.5
        assert family["accuracy"]["split"] == "held-out"
        assert family["accuracy"]["n_specimens"] == {"Betulaceae": 24, "Fagaceae": 25}[family["name"]]


# --- stopped from outside ------------------------------------------------------------------------------------


@pytest.mark.parametrize("to_group", [False, True], ids=["to the build", "twice to its group, as schedulers do"])
@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "Stopped."), (signal.SIGTERM, 75, "SIGTERM")]
)
def test_a_signal_ends_a_build_with_one_line_and_what_is_finished_is_kept(
    tiny_run: Path, tmp_path: Path, number: signal.Signals, code: int, said: str, to_group: bool
) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "leaflineage.cli", "build", "configs/tiny.toml", "--run", str(run), "--jobs", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, **pipes, text=True, start_new_session=True)
    assert process.stdout is not None
    for line in process.stdout:  # until the first stage that meets the network
        if line.startswith("extracting"):
            break
    process.send_signal(number)
    if to_group:
        os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code
    assert said in errors
    assert len([line for line in errors.splitlines() if line]) == 1, errors
    assert (run / "model.json").is_file()
    build_tiny(run)
    assert find_differences(tiny_run, run) == []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found through /proc")
def test_workers_end_with_a_parent_that_was_killed_and_the_build_goes_on(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "leaflineage.cli", "build", "configs/tiny.toml", "--run", str(run), "--jobs", "2"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("extracting"):
            break
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(workers) >= 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 60
    while any(is_running(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [worker for worker in workers if is_running(worker)] == []
    build_tiny(run)
    assert find_differences(tiny_run, run) == []


def is_running(pid: str) -> bool:
    """Tell whether a process lives; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
