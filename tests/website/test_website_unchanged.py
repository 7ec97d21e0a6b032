"""Where nothing that a bake reads has changed it makes nothing; where anything has, the site is as one from nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from website.synthetic_run import make_run

from leaflineage.resources import find_resource
from leaflineage.website import bake as baking
from leaflineage.website import charts, links, rendering, state, striking
from leaflineage.website.bake import bake
from leaflineage.website.rendering import CompiledTemplates, make_environment, make_renderer
from leaflineage.website.state import STATE, read_state
from leaflineage.website.words import Words

NAMES = [f"Familia {letter}" for letter in "ABC"]
Change = Callable[[Path], None]


def digest_tree(folder: Path) -> dict[str, str]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def whole(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # run_folder: for its skip
    run = make_run(tmp_path_factory.mktemp("three"), names=NAMES, n_concepts=2, n_crops=1, side=16)
    bake(run)
    return run


@pytest.fixture
def run(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of three families and its site, of hard links, whose folders are believed at once."""
    run = Path(shutil.copytree(whole, tmp_path / "run", copy_function=os.link))
    monkeypatch.setattr(state, "TICK", -(10**12))
    (run / STATE).unlink()
    bake(run)
    return run


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The runs that a bake looked through: none where it made nothing."""
    runs: list[Path] = []
    look = baking._look_at_run

    def note(run: Path, *args: Any, **settings: Any) -> Any:
        runs.append(run)
        return look(run, *args, **settings)

    monkeypatch.setattr(baking, "_look_at_run", note)
    return runs


def replace_file(path: Path, data: bytes) -> None:
    """Put a file in another's place, as the store does; never write into one, which has other names."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)


def replace_json(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_bytes())
    change(value)
    replace_file(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def find_picture(run: Path, kind: str) -> Path:
    return min((run / "families" / "familia-b" / kind).rglob("*.webp"))


def test_where_nothing_changed_nothing_is_looked_through(run: Path, looks: list[Path]) -> None:
    before, told = digest_tree(run), []
    first = bake(run, on_page=told.append)
    assert looks == []
    assert digest_tree(run) == before
    assert sorted(told) == sorted(path for path in digest_tree(run / "site") if path.endswith(".html"))
    (run / STATE).unlink()
    assert bake(run) == first
    assert looks == [run]


def retitle(run: Path) -> None:
    replace_json(run / "index.json", lambda index: index.update(title="Another atlas"))


def change_record(run: Path) -> None:
    def change(record: Any) -> None:
        record["family"]["concepts"][0]["prevalence"] = 0.123

    replace_json(run / "families" / "familia-b" / "family.json", change)


def change_table(run: Path) -> None:
    replace_file(run / "specimens.csv", b"id,family\nanother,Familia A\n")


def change_head(run: Path) -> None:
    replace_file(run / "head.safetensors", b"another head")


def change_bank(run: Path) -> None:
    replace_file(run / "families" / "familia-b" / "bank.safetensors", b"another bank")


def toggle_numbers(run: Path) -> None:
    path = run / "families" / "familia-b" / "importances.csv"
    if path.exists():
        path.unlink()
    else:
        path.write_text("specimen,group\n")


def change_manifest(run: Path) -> None:
    replace_file(run / "manifest.json", b'{"schema": "leaflineage.manifest/0"}')


def withdraw(run: Path) -> None:
    record = json.loads((run / "families" / "familia-b" / "family.json").read_bytes())
    (run / "withdrawn.txt").write_text(record["specimens"][0]["id"] + "\n")


def draw_again(run: Path) -> None:
    picture = find_picture(run, "crops")
    replace_file(picture, picture.read_bytes() + b"\0")


def lose_page(run: Path) -> None:
    (run / "site" / "families" / "familia-b" / "concept-01.html").unlink()


def damage_home(run: Path) -> None:
    replace_file(run / "site" / links.HOME, b"another hand")


def damage_style(run: Path) -> None:
    replace_file(run / "site" / links.style("family"), b"another hand")


def lose_picture(run: Path) -> None:
    (run / "site" / "media" / find_picture(run, "crops").relative_to(run)).unlink()


def put_other_picture(run: Path) -> None:
    replace_file(run / "site" / "media" / find_picture(run, "crops").relative_to(run), b"another hand")


CHANGES = [
    retitle, change_record, change_table, change_head, change_bank, toggle_numbers, change_manifest, withdraw,
    draw_again, lose_page, damage_home, damage_style, lose_picture, put_other_picture,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changed_the_site_is_as_one_from_nothing(
    run: Path, tmp_path: Path, looks: list[Path], change: Change
) -> None:
    change(run)
    bake(run)
    assert looks == [run]
    site = digest_tree(run / "site")
    assert site == digest_tree(bake(run, tmp_path / "anew").site)


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "https://example.org/atlas"},
        {"repository": "https://example.org/source"},
        {"images": "none"},
        {"budget_mb": 12.0},
    ],
)
def test_another_setting_makes_the_site_anew(
    run: Path, tmp_path: Path, looks: list[Path], settings: dict[str, Any]
) -> None:
    before = digest_tree(run / "site")
    bake(run, **settings)
    assert looks == [run]
    assert digest_tree(run / "site") == digest_tree(bake(run, tmp_path / "anew", **settings).site) != before


@pytest.mark.parametrize(
    ("folder", "name", "old", "new"),
    [
        ("templates", "base.html", "<!doctype html>", "<!doctype html><!-- other -->"),
        ("locale", "en/chrome.toml", None, None),
        ("static", "css/site.css", None, "i{color:red}"),
        ("static", "css/404.css", None, "/* other */"),
    ],
)
def test_other_templates_words_and_styles_make_the_site_anew(
    run: Path,
    tmp_path: Path,
    looks: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    folder: Any,
    name: str,
    old: str | None,
    new: str | None,
) -> None:
    copy = Path(shutil.copytree(find_resource(folder), tmp_path / folder))
    path = copy / name
    if new is None:
        path = next(each for each in sorted(copy.rglob("*.toml")) if "skip = " in each.read_text())
        old = next(line for line in path.read_text().splitlines() if line.startswith("skip = "))
        new = 'skip = "To what matters"'
    text = path.read_text()
    path.write_text(text.replace(old, new) if old else text + new)
    for module in (baking, rendering, *(sys.modules[f"leaflineage.website.{each}"] for each in ("contents", "styles"))):
        monkeypatch.setattr(
            module, "find_resource", lambda wanted: copy if wanted == folder else find_resource(wanted), raising=False
        )
    before = digest_tree(run / "site")
    baking.hash_code.cache_clear()
    try:
        bake(run)
    finally:
        baking.hash_code.cache_clear()
    assert looks == [run]
    after = digest_tree(run / "site")
    changed = {address for address in after if after[address] != before.get(address)}
    assert (
        changed
        >= {
            "templates": {links.HOME, links.family_page("familia-b")},
            "locale": {links.HOME, links.family_page("familia-b")},
            "static": {links.style("map") if name == "css/site.css" else links.NOT_FOUND},
        }[folder]
    )


def test_other_code_makes_the_site_anew(run: Path, looks: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baking, "hash_code", lambda: "other")
    bake(run)
    assert looks == [run]


def test_all_code_that_a_bake_imports_is_told_from_other_code() -> None:
    told = "import sys, leaflineage.website.bake; print(*(n for n in sys.modules if n.startswith('leaflineage')))"
    found = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True).stdout.split()
    outside = {name for name in found if not name.startswith("leaflineage.website")}
    assert outside <= {
        "leaflineage",
        "leaflineage.errors",
        "leaflineage.resources",
        "leaflineage.records",
        "leaflineage.workers",
    }  # hashed


def test_a_site_with_something_withdrawn_is_looked_through_each_time(run: Path, looks: list[Path]) -> None:
    withdraw(run)
    bake(run)
    bake(run)
    assert looks == [run, run]


def test_folders_are_believed_where_all_pictures_are_links(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = read_state(run, run / "site").families["familia-b"].stamps
    assert find_picture(run, "crops").parent.relative_to(run).as_posix() in stamps
    seen: list[str] = []
    stat = os.stat

    def note(path: Any, *args: Any, **options: Any) -> os.stat_result:
        seen.append(str(path))
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", note)
    retitle(run)
    bake(run)
    assert str(find_picture(run, "crops")) not in seen


def test_folders_are_not_believed_where_pictures_are_copies_or_have_just_changed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(state, "TICK", 3_600 * 10**9)
        (run / STATE).unlink()
        bake(run)
    assert read_state(run, run / "site").families["familia-b"].stamps == {}

    def refuse(*_: Any) -> None:
        raise OSError(95, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    site = bake(run, tmp_path / "copied").site
    assert read_state(run, site).families["familia-b"].stamps == {}
    bake(run, site)
    assert read_state(run, site).families["familia-b"].stamps == {}


def test_the_opening_leaf_is_chosen_again_where_a_picture_of_it_changed(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[float] = []
    measure = striking.measure_merit

    def note(*args: Any) -> float:
        measured.append(measure(*args))
        return measured[-1]

    monkeypatch.setattr(striking, "measure_merit", note)
    (run / STATE).unlink()
    bake(run)
    n_all = len(measured)
    assert n_all > 1
    retitle(run)
    bake(run)
    assert len(measured) == n_all + 1  # the leaf that is known to be the best, alone
    opening = read_state(run, run / "site").opening
    assert opening is not None
    picture = run / next(iter(opening["pictures"]))
    replace_file(picture, picture.read_bytes() + b"\0")
    bake(run)
    assert len(measured) == 2 * n_all + 1


def test_templates_stay_compiled_until_they_their_words_or_their_makers_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "a.html").write_text("<p>{{ 0.5|percent }}</p>")
    words = Words.load(find_resource("locale") / "en")
    compiled: list[str] = []

    def render(words: Words) -> str:
        environment = make_environment(words)
        environment.loader = rendering.jinja2.FileSystemLoader(folder)
        environment.bytecode_cache = CompiledTemplates(folder, words)
        compile_ = environment.compile

        def note(source: Any, name: Any = None, *args: Any, **options: Any) -> Any:
            compiled.append(name)
            return compile_(source, name, *args, **options)

        monkeypatch.setattr(environment, "compile", note)
        return environment.get_template("a.html").render()

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    first = render(words)
    assert list(folder.iterdir()) == [folder / "a.html"]
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert [render(words), render(words)] == [first, first]
    assert compiled == ["a.html", "a.html"]
    other = Words({**words.entries, "percent": {**words.entries["percent"], "plain": "{value} of 100"}}, "en")
    assert render(other) == "<p>50 of 100</p>"
    (kept,) = (folder / "__pycache__").iterdir()
    for damage in (b"", b"rubbish", kept.read_bytes()[:60]):
        kept.write_bytes(damage)
        assert render(words) == first
    (folder / "a.html").write_text("other")
    assert render(words) == "other"


def test_a_folder_of_templates_that_cannot_be_written_is_no_hindrance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "__pycache__").write_text("no folder")
    monkeypatch.setattr(rendering, "find_resource", lambda _: tmp_path)
    (tmp_path / "404.html").write_text("{{ frame.title }}")
    words = Words.load(find_resource("locale") / "en")
    assert make_renderer(words) is not None
    cache = CompiledTemplates(tmp_path, words)
    environment = make_environment(words)
    environment.bytecode_cache = cache
    environment.loader = rendering.jinja2.FileSystemLoader(tmp_path)
    assert environment.get_template("404.html").render(frame={"title": "x"}) == "x"


def test_the_solver_that_comes_alone_is_scipys(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = np.random.default_rng(0).integers(0, 5, (12, 30)).astype(float)  # ties
    charts._find_solver.cache_clear()
    monkeypatch.delitem(sys.modules, "scipy.optimize")
    alone = charts._find_solver()
    assert alone is not linear_sum_assignment
    charts._find_solver.cache_clear()
    assert np.array_equal(alone(cost)[1], linear_sum_assignment(cost)[1])
