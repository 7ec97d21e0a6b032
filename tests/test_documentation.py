"""Documentation is tested: what the pages for people say of commands, keys, errors and layers is what the code does."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

from leaflineage import errors
from leaflineage.config import Config, DrawSection, load_config

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/slurm.md", "docs/ray.md")
FENCE = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def read_code(name: str) -> list[str]:
    """Return the lines of a page's code blocks, joined where they end in a backslash, and its inline code."""
    text = read(name)
    lines = [line for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return [line.strip().removeprefix("$ ") for line in [*lines, *SPAN.findall(FENCE.sub("", text))]]


# --- commands ------------------------------------------------------------------------------------------------


def find_commands() -> list[tuple[str, str]]:
    found = {
        (name, re.sub(r"^\.venv/bin/", "", code).split("   #")[0].strip())
        for name in (*PAGES, ".github/workflows/pages.yml", "configs/extant-leaves.toml", "Makefile")
        for code in (
            read_code(name)
            if name.endswith(".md")
            else re.findall(r"(?:(?<=\$\(BIN\)/)|\.venv/bin/|# +|Then:  )(leaflineage [^\n]*)", read(name))
        )
        if re.match(r"(\.venv/bin/)?leaflineage( |$)", code)
    }
    return sorted(found)


@pytest.mark.parametrize(("page", "line"), find_commands(), ids=lambda value: value)
def test_each_command_in_the_documentation_parses(page: str, line: str) -> None:
    cli = pytest.importorskip("leaflineage.cli")
    line = re.sub(r"\$\(\w+\)", "x", re.sub(r"\s+\(.*\)$", "", line)).replace("…", "")
    words = shlex.split(line)[1:]
    command: click.Command = cli.main
    context = click.Context(command, info_name="leaflineage")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, inner, words = command.resolve_command(context, words)
        assert inner is not None, f"{page}: {line}: no such command"
        command, context = inner, click.Context(inner, info_name=name, parent=context)
    if words or not isinstance(command, click.Group):
        command.make_parser(context).parse_args(list(words))  # raises where an option or its value is wrong
        wanted = [each for each in command.params if isinstance(each, click.Argument) and each.required]
        given, _, _ = command.make_parser(context).parse_args(list(words))
        for argument in wanted:
            if line != f"leaflineage {command.name}":  # a bare name in a sentence speaks of the command
                assert given.get(argument.name), f"{page}: {line}: {argument.name} is missing"


def test_the_readme_names_every_command() -> None:
    cli = pytest.importorskip("leaflineage.cli")
    text = read("README.md")
    assert [name for name in cli.main.commands if f"leaflineage {name}" not in text] == []


@pytest.mark.parametrize("page", [*PAGES, ".ci/run", ".github/workflows/pages.yml"])
def test_each_make_target_that_is_named_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    code = read_code(page) if page.endswith(".md") else re.findall(r"make [a-z]+\s*$", read(page), re.MULTILINE)
    named = {word for line in code for word in re.findall(r"^make ([a-z]+)", line)}
    assert named - targets == set()
    if page == "README.md":
        assert {"atlas", "test"} <= named


@pytest.mark.parametrize("page", PAGES)
def test_each_file_a_page_points_to_is_there(page: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", FENCE.sub("", read(page)))
    folder = (ROOT / page).parent
    assert [each for each in targets if "://" not in each and not (folder / each).exists()] == []


# --- config keys ---------------------------------------------------------------------------------------------

KEY = re.compile(r"^(?P<unset># )?(?P<key>[a-z_]+) = ")


def read_template() -> dict[str, dict[str, bool]]:
    """Return {table: {key: whether it is set}} of template.toml, the keys in its comments included."""
    tables: dict[str, dict[str, bool]] = {}
    table: dict[str, bool] = {}
    for line in read("configs/template.toml").splitlines():
        if header := re.match(r"(?:# )?\[([a-z.]+)\]", line):
            table = tables.setdefault(header[1], {})
        elif (match := KEY.match(line)) and (match["key"], bool(tables)) != ("key", False):
            table[match["key"]] = match["unset"] is None
    return tables


def list_sections() -> dict[str, type[BaseModel]]:
    """Return every table of a config, by its dotted name."""
    sections: dict[str, type[BaseModel]] = {}

    def walk(model: type[BaseModel], prefix: str) -> None:
        for name, field in model.model_fields.items():
            kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
            for kind in kinds:
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    sections[prefix + name] = kind
                    walk(kind, f"{prefix}{name}.")

    walk(Config, "")
    return sections


def test_the_template_names_every_key_and_no_other() -> None:
    sections = list_sections()
    tables = {name: set(keys) for name, keys in read_template().items()}
    wanted = {
        name: {key for key in model.model_fields if f"{name}.{key}" not in sections} for name, model in sections.items()
    }
    assert tables == wanted


def test_the_template_shows_the_defaults() -> None:
    config = load_config(ROOT / "configs" / "template.toml")
    # Only what has no default differs from a config that gives nothing else.
    bare = Config.model_validate(
        {
            "name": "template",
            "specimens": {"root": config.specimens.root},
            "classifier": {"source": config.classifier.source},
        }
    )
    assert config.model_dump() == bare.model_dump()


def test_the_template_sets_each_key_that_has_a_default() -> None:
    sections = list_sections()
    unset = {f"{table}.{key}" for table, keys in read_template().items() for key, is_set in keys.items() if not is_set}
    without_default = {
        f"{table}.{key}"
        for table, model in sections.items()
        for key, field in model.model_fields.items()
        if field.get_default(call_default_factory=True) is None and f"{table}.{key}" not in sections
    }
    drawn = {f"specimens.draw.{key}" for key in DrawSection.model_fields}  # shown as the other way to give specimens
    assert unset - drawn == without_default - drawn - {"specimens.root"}  # set to a placeholder: it has to be given


def test_the_drawn_table_of_the_template_shows_its_defaults() -> None:
    lines = read("configs/template.toml").splitlines()
    start = lines.index("# [specimens.draw]") + 1
    block = "\n".join(line.removeprefix("# ") for line in lines[start : start + len(DrawSection.model_fields)])
    assert tomllib.loads(block) == DrawSection().model_dump()


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_each_config_that_ships_is_valid(path: Path) -> None:
    assert load_config(path).name == path.stem


@pytest.mark.parametrize("page", PAGES)
def test_each_config_key_a_page_sets_exists(page: str) -> None:
    sections = list_sections()
    for key in {key for line in read_code(page) for key in re.findall(r"--set ([a-z_.]+)=", line)} - {"section.key"}:
        table, _, name = key.rpartition(".")
        assert name in sections[table].model_fields, f"{page}: --set {key}"
    for block in FENCE.findall(read(page)):
        if re.match(r"\[[a-z.]+\]\n", block):
            tables: dict[str, Any] = tomllib.loads(block)
            for table, keys in tables.items():
                assert set(keys) <= set(sections[table].model_fields), f"{page}: [{table}]"


# --- errors, layers, dependencies ----------------------------------------------------------------------------


def test_the_exception_tree_in_contributing_is_that_of_the_code() -> None:
    (tree,) = [block for block in FENCE.findall(read("CONTRIBUTING.md")) if block.startswith("LeafLineageError\n")]
    drawn = dict(re.findall(r"^[├└]── (\w+) +(.+)$", tree, re.MULTILINE))
    kinds = errors.LeafLineageError.__subclasses__()
    assert drawn == {
        kind.__name__: str(kind.__doc__).rstrip(".") for kind in kinds if kind.__module__ == errors.__name__
    }


def test_the_layers_in_contributing_are_those_import_linter_holds() -> None:
    (contract,) = [
        each
        for each in tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
        if each["type"] == "layers"
    ]
    held = [[re.sub(r"[()\s]", "", name) for name in layer.split("|")] for layer in contract["layers"]]
    rows = re.findall(r"^\| \d+ \| ([^|]*) \|", read("CONTRIBUTING.md"), re.MULTILINE)
    assert [re.findall(r"`(\w+)`", row) for row in rows] == held


def test_each_dependency_has_a_sentence_in_contributing() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    listed = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    text = read("CONTRIBUTING.md")
    names = {re.match(r"[\w-]+", each)[0] for each in listed if not each.startswith("leaflineage")}  # type: ignore[index]
    assert sorted(name for name in names if f"| {name} |" not in text) == []


def test_each_pinned_version_is_one_the_package_allows() -> None:
    from packaging.requirements import Requirement

    pins = dict(line.split("==") for line in read("constraints.txt").splitlines() if "==" in line)
    project = tomllib.loads(read("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lowered = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    for line in wanted:
        requirement = Requirement(line)
        assert requirement.specifier.contains(lowered[requirement.name.lower()]), line
