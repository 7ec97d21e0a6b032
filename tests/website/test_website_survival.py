"""What befalls a run or a site between two bakes, or during one, leaves no trace in the site that comes of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from website.synthetic_run import make_run

from leaflineage.errors import SiteError
from leaflineage.website import links
from leaflineage.website.bake import bake
from leaflineage.website.check import check_site
from leaflineage.website.family_bake import FamilyBaker
from leaflineage.website.rights import WITHDRAWN
from leaflineage.website.writing import Writer

NAMES = [f"Familia {letter}" for letter in "ABC"]
TABLE = "families/familia-b/importances.csv"


@pytest.fixture(scope="module")
def whole(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # run_folder: for its skip
    run = make_run(tmp_path_factory.mktemp("three"), names=NAMES, n_concepts=2, n_crops=1, side=16)
    long_ago = time.time() - 1000
    for path in run.rglob("*"):
        os.utime(path, (long_ago, long_ago))
    return run


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A run of its own, which a test may write into."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def digest_tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_as_from_nothing(run: Path, tmp_path: Path) -> None:
    site = bake(run).site
    assert digest_tree(site) == digest_tree(bake(run, tmp_path / "anew").site)


def replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def edit(run: Path, slug: str, how: Callable[[dict[str, Any]], None]) -> None:
    for path, find in (
        (run / "families" / slug / "family.json", lambda held: held["family"]),
        (run / "index.json", lambda held: next(each for each in held["families"] if each["slug"] == slug)),
    ):
        held = json.loads(path.read_bytes())
        how(find(held))
        replace(path, (json.dumps(held, indent=1, ensure_ascii=False) + "\n").encode())


def change_number(family: dict[str, Any]) -> None:
    family["accuracy"]["top1"] = 0.4321


class Killed(BaseException):
    """Stands for the end of the process."""


def kill(*_: Any) -> None:
    raise Killed


# --- a bake that is killed -----------------------------------------------------------------------------------------


def test_killed_before_it_removed_anything_a_bake_leaves_nothing_withdrawn(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bake(run)
    (run / WITHDRAWN).write_text("familia-b-001\n")
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_remove", kill)
        with pytest.raises(Killed):
            bake(run)
    assert any("familia-b-001" in name for name in digest_tree(run / "site"))
    assert_as_from_nothing(run, tmp_path)
    assert not any("familia-b-001" in name for name in digest_tree(run / "site"))


def test_killed_while_it_moved_a_family_that_then_is_gone_leaves_none_of_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("familia-a", "familia-b"):  # nobody else knows of it
        edit(run, name, lambda family: family.update(neighbours=[], confused_with=[], mistakes=[]))
    whole = json.loads((run / "index.json").read_bytes())
    without = {**whole, "families": [each for each in whole["families"] if each["slug"] != "familia-c"]}
    replace(run / "index.json", json.dumps(without).encode())
    bake(run)
    replace(run / "index.json", json.dumps(whole).encode())
    move = Writer._move

    def move_until(self: Writer, address: str) -> None:
        if address == links.MANIFEST:
            raise Killed
        move(self, address)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_move", move_until)
        with pytest.raises(Killed):
            bake(run)
    assert any("familia-c" in name for name in digest_tree(run / "site"))
    replace(run / "index.json", json.dumps(without).encode())
    assert_as_from_nothing(run, tmp_path)
    assert not any("familia-c" in name for name in digest_tree(run / "site"))


# --- files of the run ----------------------------------------------------------------------------------------------


def test_a_specimen_that_only_a_table_names_is_withdrawn_from_it(run: Path, tmp_path: Path) -> None:
    replace(run / TABLE, b"specimen,group\nfamilia-b-000,g\nonly-here-1,g1\n")
    bake(run)
    (run / WITHDRAWN).write_text("only-here-1\n")
    assert_as_from_nothing(run, tmp_path)
    assert b"only-here-1" not in (run / "site" / links.importances_file("familia-b")).read_bytes()
    (run / WITHDRAWN).unlink()
    assert_as_from_nothing(run, tmp_path)
    assert b"only-here-1" in (run / "site" / links.importances_file("familia-b")).read_bytes()


def test_a_table_that_was_written_over_has_its_hash_in_the_list(run: Path, tmp_path: Path) -> None:
    bake(run)
    path = run / TABLE
    path.write_bytes(path.read_bytes().replace(b"-000", b"-009", 1))  # into the file that the site has too
    assert_as_from_nothing(run, tmp_path)


def test_a_shared_picture_that_was_written_over_fails_one_bake_at_most(run: Path, tmp_path: Path) -> None:
    shared = "families/familia-b/crops/concept-01/00.webp"
    assert (run / shared).is_file()
    edit(
        run,
        "familia-a",
        lambda family: (
            family["concepts"][0]["crops"][0].update(image=shared) if family["concepts"][0].get("crops") else None
        ),
    )
    bake(run)
    data = (run / shared).read_bytes()
    (run / shared).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    edit(run, "familia-a", change_number)
    with pytest.raises(SiteError, match="changed while the site was baked"):
        bake(run)
    assert_as_from_nothing(run, tmp_path)


def test_a_picture_that_was_written_anew_alike_is_linked(run: Path, tmp_path: Path) -> None:
    bake(run)
    picture = next((run / "families" / "familia-b" / "crops").rglob("*.webp"))
    replace(picture, picture.read_bytes())
    site = bake(run).site
    assert (site / links.media(picture.relative_to(run).as_posix())).samefile(picture)


def test_a_picture_at_the_top_of_a_run_is_a_picture(run: Path, tmp_path: Path) -> None:
    record = json.loads((run / "families" / "familia-b" / "family.json").read_bytes())
    shown = record["specimens"][0]
    shutil.copy(run / shown["image"], run / "leaf.webp")
    shown.update(image="leaf.webp", smaller=[])
    replace(run / "families" / "familia-b" / "family.json", json.dumps(record).encode())
    report = bake(run)
    assert report.n_pictures == sum(name.startswith("media/") for name in digest_tree(report.site))
    data = (run / "leaf.webp").read_bytes()
    replace(run / "leaf.webp", data[:-1] + bytes([data[-1] ^ 1]))
    assert_as_from_nothing(run, tmp_path)


# --- files of the site ---------------------------------------------------------------------------------------------


def test_a_site_that_was_copied_is_made_once_more_and_then_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bake(run)
    copy = Path(shutil.copytree(run / "site", tmp_path / "copy", copy_function=shutil.copy))
    made: list[str] = []
    make = FamilyBaker.bake

    def note(self: FamilyBaker, around: Any) -> Any:
        made.append(around.slug)
        return make(self, around)

    bake(run, copy)
    monkeypatch.setattr(FamilyBaker, "bake", note)
    (run / WITHDRAWN).write_text("nobody\n")  # so that it is looked at again
    bake(run, copy)
    assert made == []


def test_a_script_of_comparisons_that_was_damaged_is_made_anew(run: Path, tmp_path: Path) -> None:
    site = bake(run).site
    path = site / links.compare_file("familia-b")
    replace(path, b"\0" * path.stat().st_size)
    edit(run, "familia-c", change_number)
    assert_as_from_nothing(run, tmp_path)


@pytest.mark.parametrize("address", ["families/familia-c", "method.html"])
def test_what_is_in_the_way_is_told(run: Path, address: str) -> None:
    site = bake(run).site
    path = site / address
    if path.is_dir():
        shutil.rmtree(path)
        path.write_text("mine")
    else:
        path.unlink()
        path.mkdir()
    with pytest.raises(SiteError, match=r"is in its way\. Move it out"):
        bake(run)


@pytest.mark.parametrize(
    "files",
    [
        {".": ["index.html"]},
        {"./": ["index.html"], "families//familia-b": ["index.html"]},
        {"": ["a\0b", "../outside.txt", "families", "\ud800"]},
        {"ln": ["precious.txt"], "..": ["outside.txt"], "../": ["outside.txt"]},
    ],
)
def test_a_list_of_somebody_else_removes_nothing_that_is_not_ours(
    run: Path, tmp_path: Path, files: dict[str, list[str]]
) -> None:
    site = bake(run).site
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious.txt").write_text("")
    (run / "outside.txt").write_text("")
    (site / "ln").symlink_to(tmp_path / "elsewhere")
    before = digest_tree(site)
    manifest = json.loads((site / links.MANIFEST).read_bytes())
    replace(site / links.MANIFEST, json.dumps({**manifest, "files": files}).encode())
    bake(run)
    assert digest_tree(site) == before
    assert (tmp_path / "elsewhere" / "precious.txt").is_file()
    assert (run / "outside.txt").is_file()


@pytest.mark.parametrize("content", ['{"files": {"": "abc"}}', "[" * 100_000, '{"files": 5}', "\ud800"])
def test_a_list_that_is_damaged_is_told(run: Path, content: str) -> None:
    site = bake(run).site
    replace(site / links.MANIFEST, content.encode("utf-8", "surrogatepass"))
    with pytest.raises(SiteError, match="is damaged"):
        bake(run)


def test_a_page_whose_name_is_no_text_is_checked(run: Path) -> None:
    site = bake(run).site
    page = (site / "method.html").read_bytes().replace(b"<title>", b"<title>caf ")
    with open(os.path.join(os.fsencode(str(site)), b"caf\xe9.html"), "wb") as stream:  # noqa: PTH118, PTH123
        stream.write(page)
    assert check_site(site) == []
