"""Whatever somebody else's atlas.json, index.json or manifest holds, it is told in a sentence and leads nowhere."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leaflineage.errors import ArtifactError, LeafLineageError, SiteError, SpecimenError
from leaflineage.records import AtlasRecord, FamilyRecord
from leaflineage.specimens import scan_specimens
from leaflineage.stages.publishing import SETTINGS
from leaflineage.verifying import Choice, verify_site
from leaflineage.website import links
from leaflineage.website.bake import bake
from leaflineage.website.check import check_data, read_manifest
from leaflineage.website.published import read_catalogue, rebuild_config
from leaflineage.website.publishing import check_publishing
from leaflineage.website.reading import read_index, read_record

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
HOSTILE = st.sampled_from(
    [
        None, True, -1, 0, 10**400, 1e308, float("nan"), float("inf"), "", "../../etc/passwd", "<script>x</script>",
        "\0", "\ud800", "CON", "x" * 5000, [], {}, [1], {"a": 1}, "/etc/passwd", "..", "a/b", "a\\b", "data:x",
    ]
)  # fmt: skip
BROKEN = st.sampled_from(["", "{", "[" * 5000, "null", "1", '"a"', "[]", "{}", "\ud83d", "NaN", "\0"])


class Whole:
    """A document as it was written; its representation is short, whatever it holds."""

    def __init__(self, content: Any) -> None:
        self.content = content


@st.composite
def damage(draw: st.DrawFn, whole: Whole) -> bytes:
    """Return a document in which one or two values are gone, doubled or others; or something that is no document."""
    if draw(st.integers(0, 9)) == 0:
        return draw(BROKEN).encode("utf-8", "surrogatepass")
    document = copy.deepcopy(whole.content)
    for _ in range(draw(st.integers(1, 2))):
        parent, key, node = None, None, document
        while isinstance(node, (dict, list)) and node and (parent is None or draw(st.integers(0, 7))):
            keys = sorted(node) if isinstance(node, dict) else range(len(node))
            parent, key = node, draw(st.sampled_from(keys))
            node = node[key]
        if parent is None:
            continue
        change = draw(st.integers(0, 3))
        if change == 0:
            del parent[key]
        elif change == 1 and isinstance(parent, list):
            parent.append(copy.deepcopy(node))
        else:
            parent[key] = copy.deepcopy(draw(HOSTILE))
    return json.dumps(document).encode()


def hold(*readers: Callable[[], Any]) -> None:
    """Call each; what one raises must be ours, and say something."""
    said = []
    for reader in readers:
        try:
            reader()
        except LeafLineageError as error:
            said.append(str(error))
    assert all(len(each) > 40 for each in said)


@pytest.fixture(scope="module")
def site(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small site of data alone; every test writes the file that it damages whole."""
    folder = tmp_path_factory.mktemp("hostile") / "site"
    for name in (links.ATLAS_DATA, links.HASHES, links.MANIFEST, links.SPECIMENS_DATA):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tiny_run / "site" / name, folder / name)
    return folder


def read_site(site: Path, root: Path) -> None:
    """Read a site as `check`, `check --publish` and `verify` do, short of computing."""

    def rebuild() -> None:
        from leaflineage.website.manifest import read_manifest as read_hashes

        run = read_hashes(site).run
        atlas = read_record(site / links.ATLAS_DATA, AtlasRecord, "atlas")
        if run is None:
            return
        overrides = (f"specimens.root={root}", "classifier.source=herbarium")
        read_catalogue(site, rebuild_config(site, run, atlas, overrides, "cpu", known=SETTINGS), atlas, root=root)

    ids: dict[str, frozenset[str]] = {}
    hold(
        lambda: [str(each) for each in check_data(site, ids)],
        lambda: [str(each) for each in check_publishing(site)],
        lambda: read_manifest(site),
        lambda: verify_site(site, overrides=(), device="cpu", choice=Choice(0), say=lambda text: None),
        rebuild,
    )


@pytest.mark.parametrize("name", [links.ATLAS_DATA, links.HASHES])
def test_a_damaged_file_of_a_sites_data_is_told(name: str, site: Path, tiny_run: Path) -> None:
    whole = (site / name).read_bytes()
    document = json.loads(whole)
    if name == links.HASHES:
        document["files"] = dict(list(document["files"].items())[:3])

    @QUICK
    @given(damage(Whole(document)))
    def read(data: bytes) -> None:
        (site / name).write_bytes(data)
        read_site(site, tiny_run / "specimens")

    try:
        read()
    finally:
        (site / name).write_bytes(whole)


@pytest.mark.parametrize("name", ["index.json", "families/fagaceae/family.json"])
def test_a_damaged_record_of_a_run_is_told(name: str, tiny_run: Path, tmp_path: Path) -> None:
    document = json.loads((tiny_run / name).read_bytes())

    @QUICK
    @given(damage(Whole(document)))
    def read(data: bytes) -> None:
        (tmp_path / "index.json").write_bytes(data)
        hold(
            lambda: read_index(tmp_path),
            lambda: read_record(tmp_path / "index.json", FamilyRecord, "family"),
        )

    read()


CELL = st.one_of(st.text(max_size=12), st.sampled_from(["../a.png", "=1+1", "a\0b", '"', "x" * 3000, "ä.png", "train"]))


@QUICK
@given(st.lists(st.lists(CELL, max_size=5), max_size=6), st.sampled_from([",", ";", "\t"]), st.binary(max_size=6))
def test_whatever_a_table_of_specimens_holds_is_told(
    tiny_run: Path, rows: list[list[str]], comma: str, tail: bytes
) -> None:
    root = tiny_run / "specimens"
    table = tiny_run.parent / "hostile.csv"
    lines = [comma.join(["path", "family", "split", "group", "px_per_mm"]), *(comma.join(row) for row in rows)]
    table.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass") + tail)
    try:
        found, _ = scan_specimens(root=root, catalogue=table, split="column", max_pixels=10**6, follow_symlinks=False)
    except SpecimenError:
        return
    used = [root / each.file for each in found.specimens if each.set_aside is None]
    assert all(path.resolve().is_relative_to(root.resolve()) for path in used)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("slug", "../../outside", SiteError),
        ("slug", "/outside", SiteError),
        ("slug", "x" * 5000, SiteError),
        ("slug", "a\0b", SiteError),
        ("relative_error", float("nan"), ArtifactError),
        ("n_specimens", 1e999, ArtifactError),
    ],
)
def test_a_bake_of_hostile_records_writes_nothing_outside(
    tiny_copy: Path, key: str, value: Any, error: type[LeafLineageError]
) -> None:
    index = json.loads((tiny_copy / "index.json").read_bytes())
    family = next(each for each in index["families"] if each["slug"] == "fagaceae")
    family[key] = value
    (tiny_copy / "index.json").write_text(json.dumps(index), encoding="utf-8")
    before = {path for path in tiny_copy.parent.rglob("*") if "site" not in path.relative_to(tiny_copy.parent).parts}
    with pytest.raises(error):
        bake(tiny_copy)
    after = {path for path in tiny_copy.parent.rglob("*") if "site" not in path.relative_to(tiny_copy.parent).parts}
    assert after == before
