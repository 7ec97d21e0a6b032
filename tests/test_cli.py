"""The command line: exit codes, wrong usage, bad input said in sentences and never as a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from website.synthetic_run import make_run

from leaflineage import __version__
from leaflineage.cli import main
from leaflineage.config import load_config
from leaflineage.records import SCHEMAS
from leaflineage.resources import find_resource
from leaflineage.store import Store

ROOT = Path(__file__).resolve().parents[1]
FEW = ("--set", "specimens.draw.n=2", "--set", "specimens.draw.size=48", "--jobs", "1")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of one's own: runs/ lies beside."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def refuse(*words: str | Path, code: int = 1) -> str:
    """Return what a command says that fails on purpose; nothing else may have escaped."""
    result = call(*words)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.stderr


# --- exit codes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["build", "--help"], ["--version"]])
def test_help_and_version_are_done(words: list[str]) -> None:
    result = call(*words)
    assert result.exit_code == 0
    assert result.output.strip()


def test_the_version_is_the_package_s() -> None:
    assert call("--version").output.strip() == f"leaflineage, version {__version__}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bulid"], "No such command 'bulid'"),
        (["build", "--quite"], "No such option"),
        (["build", "--jobs", "many"], "Invalid value for '--jobs'"),
        (["build", "--seed", "-1"], "Invalid value for '--seed'"),
        (["build", "a.toml", "b.toml"], "unexpected extra argument"),
        (["bake"], "Missing argument 'RUN'"),
        (["check"], "Missing argument 'SITE'"),
        (["withdraw"], "Missing argument 'ID...'"),
        (["bake", "run", "--images", "some"], "Invalid value for '--images'"),
        (["train"], "Missing argument 'CONFIG'"),
        (["herbarium"], "Missing argument 'DIRECTORY'"),
        (["herbarium", "leaves", "--n", "0"], "Invalid value for '--n'"),
        (["serve", "site", "--port", "70000"], "Invalid value for '--port'"),
    ],
)
def test_wrong_usage_is_two(words: list[str], said: str) -> None:
    assert said in refuse(*words, code=2)


def test_no_command_at_all_shows_the_commands() -> None:
    assert "build" in refuse(code=2)


def test_ctrl_c_is_one_line_and_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("leaflineage.pipeline.build", stop)
    said = refuse("build", "--run", "run", code=130)
    assert said.strip() == "Stopped. What is finished is kept; the same command goes on from there."


def test_an_error_of_ours_names_its_kind_and_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refuse("build", "nowhere.toml").startswith("ConfigError: ")

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("leaflineage.pipeline.build", fail)
    assert isinstance(call("build", "--run", "run").exception, ZeroDivisionError)


# --- configs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["build", "plan"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.toml"], "`leaflineage init`"),
        (["--set", "concepts.n_concept=3"], "Did you mean n_concepts?"),
        (
            ["--set", "concepts.n_concepts=0"],
            'concepts.n_concepts: needs a whole number from 1 to 99, without quotes, or "auto". It is 0.',
        ),
        (["--set", "nonsense"], "--set wants section.key=value"),
        (["--set", "specimens.root=nowhere"], "[specimens] root: nothing is at"),
        (["--set", "classifier.source=nowhere"], "[classifier] source: nothing is at"),
        (["--set", "classifier.label_names=nowhere.txt"], "[classifier] label_names: nothing is at"),
        (["--set", "atlas.taxonomy=nowhere.tsv"], "[atlas] taxonomy: nothing is at"),
        (["--set", "specimens.catalogue=nowhere.csv"], "[specimens] catalogue: nothing is at"),
    ],
)
def test_a_config_that_cannot_be_followed_is_one(command: str, words: list[str], said: str, folder: Path) -> None:
    assert said in refuse(command, *words)
    assert list(folder.iterdir()) == []  # nothing was begun


@pytest.mark.parametrize("command", ["build", "plan"])
def test_the_extant_leaves_config_says_at_once_all_that_is_missing_and_where_to_read_on(
    command: str, folder: Path
) -> None:
    path = ROOT / "configs" / "extant-leaves.toml"
    config = load_config(path)
    if config.specimens.root is not None and config.specimens.root.exists():
        pytest.skip("the images of this config are there")
    said = refuse(command, path)
    for place in (config.specimens.root, config.classifier.source, config.classifier.label_names):
        assert f"nothing is at {place}" in said
    assert f"The head of {path} says what to download and where to put it" in said
    assert list(folder.iterdir()) == []


def test_a_config_of_one_s_own_is_not_said_to_tell_what_to_download(folder: Path) -> None:
    (folder / "oaks.toml").write_text('# My oaks.\n[specimens]\nroot = "oaks"\n[classifier]\nsource = "herbarium"\n')
    said = refuse("build", "oaks.toml")
    assert f"nothing is at {folder / 'oaks'}" in said
    assert "download" not in said
    assert "Put it there, or give other paths with --set." in said


@pytest.mark.parametrize("command", ["build", "plan"])
def test_a_folder_without_pictures_is_said(command: str, folder: Path) -> None:
    (folder / "leaves" / "Fagaceae").mkdir(parents=True)
    said = refuse(command, "--set", "specimens.root=leaves", "--run", "run")
    assert said.startswith("SpecimenError: Pictures of leaves were wanted in")


@pytest.mark.parametrize("command", ["build", "plan"])
def test_a_folder_of_broken_pictures_alone_is_said(command: str, folder: Path) -> None:
    (folder / "leaves" / "Fagaceae").mkdir(parents=True)
    for number in range(3):
        (folder / "leaves" / "Fagaceae" / f"{number}.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    said = refuse(command, "--set", "specimens.root=leaves", "--run", "run")
    assert said.startswith("SpecimenError: ")


@pytest.mark.parametrize("command", ["build", "plan"])
def test_a_classifier_that_is_none_is_said(command: str, folder: Path) -> None:
    (folder / "leaves" / "Fagaceae").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (20, 20), (10 * number, 90, 30)).save(folder / "leaves" / "Fagaceae" / f"{number}.png")
    (folder / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    said = refuse(
        command, "--set", "specimens.root=leaves", "--set", "classifier.source=model.h5", "--run", "run", "--jobs", "1"
    )
    assert "ModelError: " in said
    assert "model.h5" in said


@pytest.mark.parametrize("run", ["file", "file/run"])
def test_a_run_folder_that_cannot_be_is_said(run: str, folder: Path) -> None:
    (folder / "file").write_text("not a folder")
    said = refuse("build", "--run", run, *FEW)
    assert "could not be written" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--run", "leaves"], "Name another folder with --run."),
        (["--run", "leaves/runs/a"], "Name another folder with --run."),
        (["--run", "run", "--out", "leaves/site"], "Name another folder with --out."),
        (["--run", "run", "--out", "run"], "Name another one with --out."),
        (["--run", "run", "--out", "."], "Name another one with --out."),
    ],
)
@pytest.mark.parametrize("command", ["plan", "build"])
def test_a_build_writes_neither_among_the_leaves_nor_a_site_over_its_run(
    command: str, words: list[str], said: str, folder: Path
) -> None:
    (folder / "leaves").mkdir()
    chosen = ["--set", "specimens.root=leaves", "--set", "classifier.source=herbarium"]
    assert said in refuse(command, *chosen, *words)
    assert list((folder / "leaves").iterdir()) == []
    assert not (folder / "run").exists()


def test_a_site_is_not_baked_over_its_run(folder: Path) -> None:
    assert "is or holds the run folder" in refuse("bake", "run", "--out", "run")


def test_a_plan_takes_brackets_for_brackets(folder: Path) -> None:
    (folder / "leaves" / "Fagaceae").mkdir(parents=True)
    for number in range(5):
        Image.new("RGB", (40, 60), (30, 90 + number, 30)).save(folder / "leaves" / "Fagaceae" / f"{number}.png")
    (folder / "leaves" / "Fagaceae" / "link.png").symlink_to(ROOT / "pyproject.toml")
    result = call(
        "plan", "--set", "specimens.root=leaves", "--set", "classifier.source=herbarium", "--run", "runs/[/b]",
        "--set", "classifier.trust_names=true", "--set", "specimens.min_specimens=5",
        "--set", "visualize.quality=draft", "--set", "atlas.families=[]", "--jobs", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Run folder: runs/[/b]" in result.stdout
    assert "([specimens] follow_symlinks allows it)" in result.stdout


def test_flags_win_over_set_and_names_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def spy(config: Any, run: Path, **_: Any) -> None:
        seen.append((config, run))
        raise KeyboardInterrupt

    monkeypatch.setattr("leaflineage.pipeline.build", spy)
    refuse(
        "build",
        "--set",
        "run.seed=1",
        "--seed",
        "2",
        "--families",
        "Fagaceae, Betulaceae,",
        "--device",
        "cpu",
        code=130,
    )
    config, run = seen[0]
    assert config.run.seed == 2
    assert config.run.device == "cpu"
    assert config.atlas.families == ["Fagaceae", "Betulaceae"]
    assert (config.name, run) == ("herbarium", Path("runs/herbarium"))


# --- withdraw, publish ---------------------------------------------------------------------------------------


@pytest.fixture
def finished(folder: Path) -> Path:
    """A made-up run, and its catalogue."""
    if not (find_resource("static") / "vendor" / "minisearch.js").is_file():
        pytest.skip("static/vendor/minisearch.js is not there: install the package (its build hook needs npm)")
    run = make_run(folder / "runs" / "oaks", n_families=2, n_concepts=2, n_crops=1, side=16)
    specimens = json.loads((run / "atlas.json").read_bytes())["specimens"]
    catalogue = [{key: each[key] for key in ("id", "group", "family")} for each in specimens]
    (run / "catalogue.json").write_text(json.dumps({"schema": SCHEMAS["catalogue"], "specimens": catalogue}))
    return run


def test_withdraw_bakes_the_site_without_it_and_says_what_stays(finished: Path) -> None:
    result = call("withdraw", "betulaceae-001", "--reason", "asked by its owner")
    assert result.exit_code == 0, result.output
    assert "betulaceae-001: in none of the" in result.output
    assert '[specimens] withdrawn = "withdrawn.txt"' in result.output
    assert "What was computed with it stays" in result.output.replace("with them stays", "with it stays")
    assert "for betulaceae" in result.output
    assert (finished / "withdrawn.txt").read_text().endswith("betulaceae-001 asked by its owner\n")
    assert "betulaceae-001" not in (finished / "site" / "data" / "atlas.json").read_text()
    assert "Did you mean betulaceae-00" in refuse("withdraw", "betulaceae-00l", "--run", "runs/oaks")


def test_publish_holds_back_what_bake_lets_through(finished: Path) -> None:
    result = call("bake", "runs/oaks")
    assert result.exit_code == 0, result.output
    assert "Note: No licence is stated for the pictures" in result.output
    assert call("check", "runs/oaks/site").exit_code == 0
    assert "no-licence" in refuse("check", "--publish", "runs/oaks/site")
    assert call("bake", "runs/oaks", "--images", "none").exit_code == 0
    assert call("check", "--publish", "runs/oaks/site").exit_code == 0


def test_a_run_that_is_being_built_is_not_baked(finished: Path) -> None:
    with Store(finished).lock():
        assert "another build is at work" in refuse("bake", "runs/oaks")
        assert "another build is at work" in refuse("withdraw", "betulaceae-001")
    assert not (finished / "withdrawn.txt").exists()


# --- the other commands --------------------------------------------------------------------------------------


def test_init_writes_a_config_that_is_valid_and_does_not_overwrite_it(folder: Path) -> None:
    result = call("init", "oaks.toml")
    assert result.exit_code == 0
    assert "leaflineage plan oaks.toml" in result.output
    assert load_config(folder / "oaks.toml").name == "oaks"
    (folder / "oaks.toml").write_text("mine")
    assert "oaks.toml exists already, and is left as it is" in refuse("init", "oaks.toml")
    assert (folder / "oaks.toml").read_text() == "mine"


def test_init_into_a_folder_that_is_not_there_is_said() -> None:
    assert "could not be written" in refuse("init", "nowhere/oaks.toml")


def test_init_writes_a_workflow_for_the_config_too(folder: Path) -> None:
    result = call("init", "oaks.toml", "--workflow")
    assert result.exit_code == 0
    text = (folder / ".github" / "workflows" / "pages.yml").read_text()
    assert "leaflineage build oaks.toml --run runs/oaks --quiet" in text
    assert "CONFIG" not in text
    assert "NAME" not in text
    (folder / "oaks.toml").unlink()
    assert "pages.yml exists already" in refuse("init", "oaks.toml", "--workflow")
    assert not (folder / "oaks.toml").exists()  # nothing is written where something is in the way


def test_init_writes_a_workflow_in_parts(folder: Path) -> None:
    assert call("init", "oaks.toml", "--workflow", "--shards", "3").exit_code == 0
    text = (folder / ".github" / "workflows" / "pages.yml").read_text()
    assert "leaflineage build oaks.toml --run runs/oaks --shard ${{ matrix.part }}/3 --quiet" in text
    assert "part: [1, 2, 3]" in text
    assert [word for word in ("CONFIG", "NAME", "NUMBERS", "SHARDS") if word in text] == []
    assert "--workflow" in refuse("init", "elms.toml", "--shards", "3", code=2)


def test_init_writes_the_scripts_of_a_job_array(folder: Path) -> None:
    assert call("init", "oaks.toml", "--slurm").exit_code == 0
    assert {path.name for path in folder.iterdir()} >= {"oaks.toml", "atlas.sbatch", "merge.sbatch"}


@pytest.mark.parametrize("command", ["serve", "check"])
def test_what_is_no_site_is_said(command: str) -> None:
    assert refuse(command, "nowhere").startswith("SiteError: ")


def test_a_run_that_was_never_built_is_not_baked() -> None:
    assert refuse("bake", "nowhere").startswith("ArtifactError: ")


def test_training_wants_a_folder(folder: Path) -> None:
    (folder / "a.toml").write_text('[specimens.draw]\nn = 2\n[classifier]\nsource = "herbarium"\n')
    assert "Say --output, or [train] output." in refuse("train", "a.toml")


def test_the_herbarium_draws_what_is_asked_for(folder: Path) -> None:
    result = call("herbarium", "leaves", "--n", "2", "--size", "48", "--families", "Fagaceae,", "--quiet")
    assert result.exit_code == 0, result.output
    assert result.output == ""
    assert len([path for path in (folder / "leaves").rglob("*.png") if not path.name.endswith(".zones.png")]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--families", "Fagacea"], "Did you mean Fagaceae?"),
        (["--twins", "tooth"], "Did you mean teeth?"),
    ],
)
def test_what_the_herbarium_does_not_draw_is_said(words: list[str], said: str, folder: Path) -> None:
    assert said in refuse("herbarium", "leaves", *words)
    assert list(folder.iterdir()) == []


def test_twins_say_what_was_drawn_and_take_no_families(folder: Path) -> None:
    assert "no place beside it" in refuse("herbarium", "pairs", "--twins", "teeth", "--families", "Fagaceae", code=2)
    assert list(folder.iterdir()) == []
    result = call("herbarium", "pairs", "--twins", "teeth", "--n", "1", "--size", "48")
    assert result.output == "1 pair of drawn leaves, not specimens, in pairs\n"


@pytest.mark.parametrize(
    "words", [["--help"], ["build", "--help"], ["bake", "nowhere"], ["check", "nowhere"], ["init", "x.toml"]]
)
def test_what_needs_no_classifier_starts_without_torch(words: list[str]) -> None:
    code = f"""
import sys
from leaflineage.cli import main
try:
    main({words!r})
except SystemExit:
    pass
print([name for name in ("torch", "torchvision", "timm", "sklearn", "scipy") if name in sys.modules])
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip().splitlines()[-1] == "[]"
