"""The table of stages: no source and no setting is forgotten, what changes nothing changes no fingerprint."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from leaflineage.config import Config
from leaflineage.records import Catalogue, ModelRecord, Specimen
from leaflineage.stages.context import Context
from leaflineage.stages.table import (
    FAMILY_STAGES,
    PACKAGE,
    STAGES,
    compute_fingerprint,
    list_sources,
)
from leaflineage.store import Store

# Resolved settings are in the fingerprint themselves; of the package's own __init__ only the version is read.
OUTSIDE = {PACKAGE / "config.py", PACKAGE / "__init__.py"}


# --- sources -------------------------------------------------------------------------------------------------


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def find_imports(node: ast.AST) -> Iterator[Path]:
    """Yield the files of the package that an import statement runs."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        assert node.level == 0, "imports are absolute"
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    for name in names:
        parts = name.split(".")
        if parts[0] != "leaflineage":
            continue
        for depth in range(1, len(parts) + 1):  # a package's __init__ runs before its modules
            place = PACKAGE.joinpath(*parts[1:depth])
            found = [place / "__init__.py", place.with_suffix(".py")] if depth > 1 else [place / "__init__.py"]
            yield from (path for path in found if path.is_file())


Function = ast.FunctionDef | ast.AsyncFunctionDef


def walk_code(node: ast.AST, functions: dict[str, list[ast.AST]]) -> Iterator[ast.AST]:
    """Yield what runs when a module is imported; what waits in its functions goes into ``functions`` by name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, Function):
            functions.setdefault(child.name, []).append(child)
            for part in (*child.decorator_list, child.args):
                yield from ast.walk(part)
            continue
        yield child
        yield from walk_code(child, functions)


def reach(start: Path) -> tuple[set[Path], list[tuple[Path, ast.AST]]]:
    """Return the files of the package that running a stage's module may run, and the functions.

    A function may run where code that may run mentions its name.
    """
    files, waiting, names = {start}, [start], {"run"}
    asleep: list[tuple[Path, str, ast.AST]] = []
    awake: list[tuple[Path, ast.AST]] = []

    def note(nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
            for found in find_imports(node):
                if found not in files and found not in OUTSIDE and len(parse(found).body) > 1:  # more than a docstring
                    files.add(found)
                    waiting.append(found)

    while True:
        while waiting:
            path, functions = waiting.pop(), {}
            note(walk_code(parse(path), functions))
            asleep += [(path, name, each) for name, listed in functions.items() for each in listed]
        woken = [
            each
            for each in asleep
            if (each[1] in names and (each[1] != "run" or each[0] == start)) or each[1].startswith("__")
        ]
        if not woken:
            return files, awake
        asleep = [each for each in asleep if each not in woken]
        for path, _, function in woken:
            awake.append((path, function))
            note(ast.walk(function))


@pytest.mark.parametrize("name", STAGES)
def test_no_source_that_a_stage_runs_is_missing_from_its_fingerprint(name: str) -> None:
    missing = reach(PACKAGE / "stages" / f"{name}.py")[0] - set(list_sources(name))
    assert sorted(path.relative_to(PACKAGE).as_posix() for path in missing) == []


def test_the_walk_follows_imports_inside_functions_that_are_used() -> None:
    reached = {name: reach(PACKAGE / "stages" / f"{name}.py")[0] for name in ("extract", "factorize")}
    assert PACKAGE / "model" / "load.py" in reached["extract"]  # by way of Context.load_classifier
    assert PACKAGE / "model" / "load.py" not in reached["factorize"]
    assert PACKAGE / "concepts" / "factorization.py" in reached["factorize"]


@pytest.mark.parametrize("name", STAGES)
def test_every_source_that_is_named_exists(name: str) -> None:
    for source in STAGES[name].sources:
        assert (PACKAGE / source).is_dir() if source.endswith("/") else (PACKAGE / source).is_file(), source


@pytest.mark.parametrize("name", STAGES)
def test_an_artifact_that_a_stage_reads_is_among_its_inputs(name: str) -> None:
    """A stage says whose artifact it reads: ``read_json(..., stage="extract")``."""
    stage = STAGES[name]
    read = {
        str(keyword.value.value)
        for path, function in reach(PACKAGE / "stages" / f"{name}.py")[1]
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and path.name != "context.py"
        for keyword in call.keywords
        if keyword.arg == "stage" and isinstance(keyword.value, ast.Constant)
    }
    covered = {name, *stage.reads, "inspect"}
    if name in ("collect", "contrast", "explain"):
        covered |= set(STAGES)  # their inputs hash every family's artifacts
    if name == "visualize":
        covered |= {"extract", "factorize", "rank"}  # as far as it reads them: what is shown, bank, maps, logits
    if name == "fidelity":
        covered |= {"rank"}  # its arrays: whichever concepts are shown
    if name == "draw":
        covered -= {"inspect"}
    assert read - covered == set()


# --- settings ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """Return a run in which every artifact has been made, of two families and a query."""
    folder = tmp_path_factory.mktemp("table")
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    store = Store(folder / "run")
    specimens = [
        Specimen(
            id=f"{family}-{number}".lower(),
            file=f"{family}/{number}.jpg",
            group=f"{family}-{number}",
            family=family,
            sha256=f"{number:064d}",
            width=40,
            height=30,
        )
        for family in ("Betulaceae", "Fagaceae")
        for number in range(3)
    ]
    query = Specimen(id="unknown", file="unknown.jpg", group="unknown", role="query", sha256="f" * 64)
    catalogue = Catalogue(specimens=[*specimens, query], families=["Betulaceae", "Fagaceae"])
    store.write_json("catalogue.json", "catalogue", catalogue.model_dump(mode="json"))
    model = ModelRecord.model_validate(
        {
            "name": "model",
            "architecture": "resnet18",
            "layer": "layer4",
            "map_shape": (2, 2, 8),
            "affine_head": True,
            "pools_first": True,
            "depends_on_cells": True,
            "signed": False,
            "negative_energy": 0.0,
            "split_error": 0.0,
            "n_outputs": 2,
            "label_names": ["Betulaceae", "Fagaceae"],
            "preprocessing": {
                "input_size": (64, 64),
                "mean": (0.5, 0.5, 0.5),
                "std": (0.5, 0.5, 0.5),
                "interpolation": "bicubic",
                "fit": "pad",
                "pad_colour": (255, 255, 255),
            },
            "sha256": "0" * 64,
        }
    )
    store.commit("model.json", "model", model.model_dump(mode="json"), fingerprint="x", files={})
    for slug in ("betulaceae", "fagaceae"):
        for name in FAMILY_STAGES:
            stage = STAGES[name]
            payload: dict[str, Any] = {"of": name}
            if name == "rank":
                payload["shown"] = ["concept-01"]
            if name == "factorize":
                payload["bank_sha256"] = "0" * 64
            if name == "rank":
                store.write_arrays(f"families/{slug}/importance.safetensors", {"indices": np.ones((3, 2), np.float32)})
            store.commit(stage.record_path(slug), stage.kind, payload, fingerprint="x", files={})
    store.commit("probe.json", "probe", {"specimens": []}, fingerprint="x", files={})
    store.commit("queries/queries.json", "queries", {"queries": []}, fingerprint="x", files={})
    config = Config.model_validate(
        {
            "specimens": {"draw": {"n": 3}, "min_specimens": 2},
            "classifier": {"source": str(folder / "model")},
        }
    )
    return Context(store, config, "fagaceae")


def change(config: Config, key: str, value: Any) -> Config:
    """Return a config in which one dotted key has another value."""
    dumped = config.model_dump(mode="json")
    *tables, last = key.split(".")
    table = dumped
    for part in tables:
        table = table[part]
    table[last] = value
    return Config.model_validate(dumped)


def fingerprint(name: str, context: Context, config: Config | None = None) -> str:
    other = Context(context.store, config or context.config, context.slug if STAGES[name].per_family else "")
    return compute_fingerprint(STAGES[name], other)


OTHER = {
    "atlas.title": "Oaks",
    "atlas.rank": "genus",
    "atlas.families": ["Fagaceae"],
    "atlas.version": "2",
    "atlas.doi": "10.1/2",
    "atlas.authors": ["A"],
    "atlas.licences": {"code": "MIT"},
    "classifier.architecture": "resnet34",
    "classifier.input_size": 96,
    "classifier.mean": [0.1, 0.2, 0.3],
    "classifier.std": [0.1, 0.2, 0.3],
    "classifier.interpolation": "box",
    "classifier.fit": "crop",
    "classifier.layer": "layer3",
    "classifier.pad_colour": [1, 2, 3],
    "classifier.trust_names": True,
    "concepts.fit_on": "crops",
    "concepts.factorization": "semi-nmf",
    "concepts.n_concepts_tried": [3, 5],
    "concepts.crop_side": 0.31,
    "concepts.crop_stride": 0.31,
    "concepts.drop_blank": False,
    "concepts.min_leaf_share": 0.2,
    "anatomy.suggest": False,
    "anatomy.names": "names.toml",
    "importance.half_width": 0.03,
    "visualize.quality": "fine",
    "visualize.spectrum": "all",
    "visualize.transfer_classifier": "second",
    "specimens.split": "md5:5",
    "specimens.draw": {"n": 4},
}
VOLATILE = ("run.jobs", "run.device", "run.memory_gb", "run.keep_activations", "site.base_url", "site.budget_mb")


def list_keys(model: BaseModel, prefix: str = "") -> list[str]:
    """Return every dotted key of a config."""
    keys = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel) and f"{prefix}{name}" not in ("atlas.licences", "specimens.draw"):
            keys += list_keys(value, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys


def read_key(config: Config, key: str) -> Any:
    value: Any = config.model_dump(mode="json")
    for part in key.split("."):
        value = value[part]
    return value


def pick_other(config: Config, key: str) -> Any:
    """Return another valid value of a key."""
    value = read_key(config, key)
    return OTHER.get(key, value + 1 if isinstance(value, int) and not isinstance(value, bool) else None)


CASES = [(name, key) for name, stage in STAGES.items() for key in stage.settings]


@pytest.mark.parametrize(("name", "key"), CASES, ids=lambda each: each)
def test_another_value_of_a_setting_is_another_fingerprint(name: str, key: str, context: Context) -> None:
    keys = [key] if "." in key else [each for each in list_keys(context.config) if each.startswith(f"{key}.")]
    for each in keys:
        other = change(context.config, each, pick_other(context.config, each))
        assert read_key(other, each) != read_key(context.config, each), each
        assert fingerprint(name, context, other) != fingerprint(name, context), each


@pytest.mark.parametrize("name", STAGES)
def test_what_changes_no_result_changes_no_fingerprint(name: str, context: Context) -> None:
    before = fingerprint(name, context)
    for key, value in {
        "run.jobs": 7,
        "run.device": "cuda",
        "run.memory_gb": 8.0,
        "run.keep_activations": True,
        "site.base_url": "https://example.org/",
        "site.budget_mb": 9.0,
        "train.epochs": 9,
        "name": "another",
    }.items():
        assert fingerprint(name, context, change(context.config, key, value)) == before, key


def test_every_setting_belongs_to_a_stage_or_is_known_to_change_no_artifact(context: Context) -> None:
    declared = {key for stage in STAGES.values() for key in stage.settings}
    by_content = {
        "atlas.taxonomy",  # hashed
        "anatomy.names",  # hashed
        "classifier.source",  # hashed
        "classifier.label_names",  # hashed
        "specimens.root",  # its files are hashed
        "specimens.catalogue",  # what it says is in the catalogue
        "specimens.withdrawn",  # likewise
        "specimens.follow_symlinks",  # decides which files are in the catalogue
        "visualize.quality",  # sets the other keys of its table
        "visualize.transfer_classifier",  # hashed
    }
    elsewhere = {"name", "site.base_url", "site.repository", "site.budget_mb", "site.images"}
    run = {"run.device", "run.jobs", "run.memory_gb", "run.keep_activations"}
    for key in list_keys(context.config):
        known = key in declared or key.split(".")[0] in declared or key in by_content | elsewhere | run
        assert known or key.startswith("train."), f"{key} is in no stage's settings"


def find_settings(function: ast.AST) -> set[str]:
    """Return the dotted keys a function reads: ``context.config.run.seed``, or by a name given to a part of that."""
    aliases: dict[str, tuple[str, ...]] = {}

    def resolve(node: ast.AST) -> tuple[str, ...]:
        if isinstance(node, ast.Name):
            return aliases.get(node.id, (node.id,))
        return (*resolve(node.value), node.attr) if isinstance(node, ast.Attribute) else ()

    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            aliases[node.targets[0].id] = resolve(node.value)
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Tuple)
            and isinstance(node.value, ast.Tuple)
        ):
            for target, value in zip(node.targets[0].elts, node.value.elts, strict=True):
                if isinstance(target, ast.Name):
                    aliases[target.id] = resolve(value)
    found = set()
    for node in ast.walk(function):
        chain = resolve(node)
        if "config" in chain:
            section, *rest = [*chain[chain.index("config") + 1 :], ""]
            if (
                rest
                and section in Config.model_fields
                and rest[0] in Config.model_fields[section].annotation.model_fields
            ):
                found.add(f"{section}.{rest[0]}")
    return found


@pytest.mark.parametrize("name", STAGES)
def test_every_setting_a_stage_reads_is_in_its_fingerprint(name: str) -> None:
    stage_functions = [
        function
        for path, function in reach(PACKAGE / "stages" / f"{name}.py")[1]
        if path.name not in ("context.py", "selection.py", "table.py")
    ]
    read = set().union(*(find_settings(function) for function in stage_functions))
    by_content = {"anatomy.names", "atlas.taxonomy", "run.device", "visualize.transfer_classifier"}
    by_content.add("run.memory_gb")  # whether cells are held or read anew changes no bit: concepts/test_rows.py
    declared = STAGES[name].settings
    assert {
        key
        for key in read - by_content
        if key not in declared
        and key.split(".")[0] not in declared
        and not any(each.startswith(f"{key}.") for each in declared)
    } == set()


def test_reading_of_settings_is_found_by_any_name() -> None:
    function = parse(PACKAGE / "stages" / "visualizing.py")
    assert {"visualize.crops", "visualize.spectrum", "visualize.size"} <= find_settings(function)


# --- inputs --------------------------------------------------------------------------------------------------


def copy_run(context: Context, tmp_path: Path) -> Context:
    """Return the same run in another folder, to be changed."""
    import shutil

    shutil.copytree(context.store.folder, tmp_path / "run")
    return Context(Store(tmp_path / "run"), context.config, context.slug)


def edit(context: Context, relative: str, **changes: Any) -> None:
    path = context.store.path(relative)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_another_folder_changes_no_fingerprint(context: Context, tmp_path: Path) -> None:
    other = copy_run(context, tmp_path)
    for name in STAGES:
        assert fingerprint(name, other) == fingerprint(name, context), name


@pytest.mark.parametrize("upstream", FAMILY_STAGES)
def test_readers_of_an_artifact_that_changed_are_stale(upstream: str, context: Context, tmp_path: Path) -> None:
    other = copy_run(context, tmp_path)
    edit(other, STAGES[upstream].record_path("fagaceae"), one_more=1)
    stale = {name for name in STAGES if fingerprint(name, other) != fingerprint(name, context)}
    assert {name for name, stage in STAGES.items() if upstream in stage.reads} | {"collect"} <= stale
    assert upstream not in stale


@pytest.mark.parametrize("upstream", FAMILY_STAGES)
def test_an_artifact_made_again_with_the_same_bytes_makes_no_reader_stale(
    upstream: str, context: Context, tmp_path: Path
) -> None:
    other = copy_run(context, tmp_path)
    edit(other, STAGES[upstream].record_path("fagaceae"), fingerprint="another")
    assert all(fingerprint(name, other) == fingerprint(name, context) for name in STAGES)


def test_pictures_depend_on_the_bank_and_on_what_is_shown_alone(context: Context, tmp_path: Path) -> None:
    other = copy_run(context, tmp_path)
    edit(other, "families/fagaceae/importance.json", concepts=[{"share": 0.123}])
    edit(other, "families/fagaceae/concepts.json", relative_error=0.5)
    assert fingerprint("visualize", other) == fingerprint("visualize", context)
    edit(other, "families/fagaceae/importance.json", shown=["concept-02"])
    assert fingerprint("visualize", other) != fingerprint("visualize", context)


def test_scores_depend_on_maps_logits_and_the_second_classifier_too(context: Context, tmp_path: Path) -> None:
    other, before = copy_run(context, tmp_path), fingerprint("visualize", context)
    edit(other, "families/fagaceae/concepts.json", files={"families/fagaceae/concepts.safetensors": "1" * 64})
    assert fingerprint("visualize", other) != before
    other = copy_run(context, tmp_path / "again")
    edit(other, "families/fagaceae/activations.json", files={"families/fagaceae/pooled.safetensors": "1" * 64})
    assert fingerprint("visualize", other) != before
    second = tmp_path / "second.safetensors"
    second.write_bytes(b"weights")
    config = change(context.config, "visualize.transfer_classifier", str(second))
    with_second = fingerprint("visualize", context, config)
    assert with_second != before
    second.write_bytes(b"other weights")
    assert fingerprint("visualize", context, config) != with_second


def test_where_a_file_of_the_config_lies_changes_no_fingerprint(context: Context) -> None:
    one, other = (change(context.config, "visualize.transfer_classifier", f"/{name}/x") for name in ("here", "there"))
    assert fingerprint("collect", context, one) == fingerprint("collect", context, other)


def edit_specimen(context: Context, identifier: str, **changes: Any) -> None:
    path = context.store.path("catalogue.json")
    record = json.loads(path.read_text())
    next(each for each in record["specimens"] if each["id"] == identifier).update(changes)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("field", "stale"),
    [
        (
            "sha256",
            {"inspect", "probe", "extract", "fidelity", "illustrate", "name", "recurse", "visualize", "collect"},
        ),
        (
            "group",
            {"probe", "factorize", "rank", "fidelity", "illustrate", "name"}
            | {"recurse", "visualize", "explain", "collect"},
        ),
        ("credit", {"illustrate", "recurse", "visualize", "collect"}),
        ("licence", {"illustrate", "recurse", "visualize", "collect"}),
        ("split", {"inspect", "probe", "fidelity", "illustrate", "collect"}),
        ("withheld", {"illustrate", "recurse", "visualize", "explain", "collect"}),
        ("source", {"illustrate", "name", "recurse", "visualize", "collect"}),
        ("genus", {"collect"}),
    ],
)
def test_a_specimen_that_changed_makes_those_stale_who_read_that_of_it(
    field: str, stale: set[str], context: Context, tmp_path: Path
) -> None:
    other = copy_run(context, tmp_path)
    edit_specimen(other, "fagaceae-1", **{field: {"split": "train", "withheld": True}.get(field, "another")})
    assert {name for name in STAGES if fingerprint(name, other) != fingerprint(name, context)} == stale


def test_a_contrast_depends_on_the_families_that_mistakes_lead_to_and_on_no_other(
    context: Context, tmp_path: Path
) -> None:
    other = copy_run(context, tmp_path)

    def change_bank() -> tuple[str, str]:
        edit(other, "families/betulaceae/concepts.json", relative_error=0.1)
        before = fingerprint("contrast", other)
        edit(other, "families/betulaceae/concepts.json", relative_error=0.2)
        return before, fingerprint("contrast", other)

    before, after = change_bank()
    assert after == before == fingerprint("contrast", context), "no mistakes: no bank is read"
    edit(other, "families/fagaceae/crops.json", mistakes=[{"specimen": "fagaceae-1", "family": "Betulaceae"}])
    before, after = change_bank()
    assert len({before, after, fingerprint("contrast", context)}) == 3
    edit_specimen(other, "fagaceae-1", sha256="another")
    assert fingerprint("contrast", other) != after
    edit_specimen(other, "fagaceae-2", sha256="another")
    before = fingerprint("contrast", other)
    edit_specimen(other, "fagaceae-2", sha256="yet another")
    assert fingerprint("contrast", other) == before, "a specimen that is named rightly is not read"


@pytest.mark.parametrize("field", ["sha256", "group", "credit", "licence", "source"])
def test_a_query_that_changed_is_explained_again(field: str, context: Context, tmp_path: Path) -> None:
    other = copy_run(context, tmp_path)
    edit_specimen(other, "unknown", **{field: "another"})
    assert {name for name in STAGES if fingerprint(name, other) != fingerprint(name, context)} == {"explain", "collect"}


def test_the_date_of_the_atlas_is_an_input_of_it(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first = fingerprint("collect", context)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    assert fingerprint("collect", context) != first


def test_another_classifier_makes_everything_stale_but_the_drawing(context: Context, tmp_path: Path) -> None:
    other = copy_run(context, tmp_path)
    edit(other, "model.json", sha256="1" * 64)
    stale = {name for name in STAGES if fingerprint(name, other) != fingerprint(name, context)}
    # inspect reads the classifier itself.
    assert stale == set(STAGES) - {"draw", "inspect"}


def test_what_inspect_measured_on_specimens_makes_nothing_stale_but_the_atlas(context: Context, tmp_path: Path) -> None:
    other = copy_run(context, tmp_path)
    edit(other, "model.json", split_error=1e-6, negative_energy=1e-3, notes=["seen"])
    assert {name for name in STAGES if fingerprint(name, other) != fingerprint(name, context)} == {"collect"}


# --- deciding ------------------------------------------------------------------------------------------------


def test_deciding_freshness_imports_neither_torch_nor_timm(context: Context) -> None:
    code = """
import sys
from pathlib import Path
from leaflineage.config import Config
from leaflineage.stages.context import Context
from leaflineage.stages.table import STAGES, compute_fingerprint
from leaflineage.store import Store
config = Config.model_validate_json(sys.argv[2])
for stage in STAGES.values():
    compute_fingerprint(stage, Context(Store(Path(sys.argv[1])), config, "fagaceae" if stage.per_family else ""))
print([name for name in ("torch", "timm", "torchvision", "sklearn") if name in sys.modules])
"""
    finished = subprocess.run(
        [sys.executable, "-c", code, str(context.store.folder), context.config.model_dump_json()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.strip() == "[]"


def test_the_fixture_of_this_file_is_what_stages_write(context: Context) -> None:
    assert context.list_built() == ["betulaceae", "fagaceae"]
    assert [each.id for each in context.list_queries()] == ["unknown"]
    assert np.array([each.missing is None for each in context.families]).all()
