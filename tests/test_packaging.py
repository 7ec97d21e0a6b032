"""The package as people get it: a wheel in an empty environment, an sdist without Node.js, the vendored library."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESOURCES = ("templates", "static", "locale", "configs")


# --- the build hook ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def build_hook() -> ModuleType:
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_lock(root: Path, version: str) -> None:
    lock = {"lockfileVersion": 3, "packages": {"node_modules/minisearch": {"version": version}}}
    (root / "package-lock.json").write_text(json.dumps(lock), encoding="utf-8")


def write_library(root: Path, text: str) -> None:
    umd = root / "node_modules" / "minisearch" / "dist" / "umd"
    umd.mkdir(parents=True)
    (umd / "index.js").write_text(text, encoding="utf-8")


def pretend_npm(
    monkeypatch: pytest.MonkeyPatch, build_hook: ModuleType, returncode: int, stderr: str = ""
) -> list[str]:
    """Let npm be found and do nothing; return the list that its commands are written into."""
    commands: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(" ".join(command[1:]))
        return subprocess.CompletedProcess(command, returncode, stdout="", stderr=stderr)

    monkeypatch.setattr(build_hook.shutil, "which", lambda _: "npm")
    monkeypatch.setattr(build_hook.subprocess, "run", run)
    return commands


def test_a_missing_node_is_said_in_a_sentence(
    tmp_path: Path, build_hook: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lock(tmp_path, "7.2.0")
    monkeypatch.setattr(build_hook.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match=r"Node\.js was not found.*Install Node\.js"):
        build_hook.vendor_search_library(tmp_path)
    assert not (tmp_path / "static").exists()


def test_a_missing_lock_file_is_said_in_a_sentence(tmp_path: Path, build_hook: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"package-lock\.json is missing"):
        build_hook.vendor_search_library(tmp_path)


def test_a_failing_npm_is_quoted(tmp_path: Path, build_hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lock(tmp_path, "7.2.0")
    pretend_npm(monkeypatch, build_hook, 1, "npm ERR! no network")
    with pytest.raises(SystemExit, match="ended with 1:\nnpm ERR! no network"):
        build_hook.vendor_search_library(tmp_path)


def test_the_vendored_library_of_the_pinned_version_needs_no_node(
    tmp_path: Path, build_hook: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lock(tmp_path, "7.2.0")
    write_library(tmp_path, "first")
    commands = pretend_npm(monkeypatch, build_hook, 0)
    build_hook.vendor_search_library(tmp_path)
    monkeypatch.setattr(build_hook.shutil, "which", lambda _: None)
    build_hook.vendor_search_library(tmp_path)
    assert commands == ["ci --omit=dev --ignore-scripts --no-audit --no-fund"]
    assert (tmp_path / build_hook.VENDORED).read_text(encoding="utf-8").splitlines() == [
        "/*! minisearch 7.2.0, MIT licence, copied from npm by hatch_build.py */",
        "first",
    ]


def test_another_pinned_version_replaces_the_vendored_library(
    tmp_path: Path, build_hook: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lock(tmp_path, "7.2.0")
    write_library(tmp_path, "library")
    commands = pretend_npm(monkeypatch, build_hook, 0)
    build_hook.vendor_search_library(tmp_path)
    write_lock(tmp_path, "7.3.0")
    build_hook.vendor_search_library(tmp_path)
    assert len(commands) == 2
    assert (tmp_path / build_hook.VENDORED).read_text(encoding="utf-8").startswith("/*! minisearch 7.3.0,")


# --- the wheel -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An sdist of the checkout, and a wheel built from what the sdist unpacks to, where no npm can be found."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("archives")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    run_quietly([*build, "--sdist", str(ROOT)])
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    run_quietly([*build, "--wheel", str(source)], PATH="/nowhere")
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def run_quietly(command: list[str], *, cwd: Path | None = None, **environment: str) -> str:
    """Run a command and return what it printed; a failure shows all of it."""
    kept = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONWARNINGS"}}
    finished = subprocess.run(
        command, cwd=cwd, env={**kept, **environment}, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, (
        f"{command} ended with {finished.returncode}:\n{finished.stdout}\n{finished.stderr}"
    )
    return finished.stdout


@pytest.mark.slow
def test_the_wheel_holds_every_template_style_word_and_config(archives: tuple[Path, Path]) -> None:
    wanted = {
        f"leaflineage/{path.relative_to(ROOT).as_posix()}"
        for folder in RESOURCES
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".part" and not path.name.startswith(".")
    }
    assert "leaflineage/static/vendor/minisearch.js" in wanted
    with zipfile.ZipFile(archives[1]) as wheel:
        assert wanted - set(wheel.namelist()) == set()


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_the_drawn_classifier_and_nothing_else(archives: tuple[Path, Path]) -> None:
    source = ROOT / "src" / "leaflineage"
    wanted = {
        f"leaflineage/{path.relative_to(source).as_posix()}"
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(archives[1]) as wheel:
        names = {name for name in wheel.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert {
        name for name in names if not name.startswith(tuple(f"leaflineage/{each}/" for each in RESOURCES))
    } == wanted
    assert "leaflineage/herbarium/classifier/model.safetensors" in names


@pytest.mark.slow
def test_a_wheel_in_an_empty_environment_builds_bakes_and_checks_an_atlas(
    archives: tuple[Path, Path], tmp_path: Path
) -> None:
    # The environment is empty but for a path to this one's libraries, which spares a second torch. A .pth file lends
    # folders, not the .pth files in them, so the editable install of the checkout stays behind.
    environment = tmp_path / "environment"
    run_quietly([sys.executable, "-m", "venv", "--without-pip", str(environment)])
    python = environment / "bin" / "python"
    install = ["install", "--no-deps", "--no-index", "--quiet", str(archives[1])]
    run_quietly([sys.executable, "-m", "pip", "--python", str(python), *install])
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")

    where = run_quietly([str(python), "-c", "import leaflineage; print(leaflineage.__file__)"], cwd=tmp_path)
    assert Path(where.strip()) == packages / "leaflineage" / "__init__.py"

    command = str(environment / "bin" / "leaflineage")
    config = packages / "leaflineage" / "configs" / "tiny.toml"
    run_quietly([command, "build", str(config), "--run", "run", "--quiet"], cwd=tmp_path)
    run_quietly([command, "bake", "run", "--out", "site"], cwd=tmp_path)
    run_quietly([command, "check", "site"], cwd=tmp_path)
    assert (tmp_path / "site" / "index.html").is_file()
