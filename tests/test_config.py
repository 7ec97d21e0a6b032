"""Configs: every mistake at once, what is given later wins, paths, a round trip to the worker processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaflineage.config import PRESETS, Config, check_paths, load_config
from leaflineage.errors import ConfigError

MINIMAL = '[specimens]\nroot = "leaves"\n[classifier]\nsource = "herbarium"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "oaks.toml"
    path.write_text(MINIMAL)
    return path


def refuse(path: Path | None, *overrides: str, **flags: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides=overrides, flags=flags)
    return str(caught.value)


# --- mistakes ------------------------------------------------------------------------------------------------


def test_an_unknown_key_is_refused_with_the_nearest_one(path: Path) -> None:
    path.write_text(MINIMAL + "[concepts]\nn_concept = 5\n")
    said = refuse(path)
    assert "concepts.n_concept is no key of ours. Did you mean n_concepts?" in said
    assert "max_cells" in said
    assert str(path) in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[visualise]\nsteps = 3\n", "visualise is no key of ours. Did you mean visualize?"),
        ("[specimens.drawn]\nn = 3\n", "specimens.drawn is no key of ours. Did you mean draw?"),
        ('[atlas.licences]\nimage = "CC0-1.0"\n', "atlas.licences.image is no key of ours. Did you mean images?"),
        ("[atlas]\nn_show = 3\n", "atlas.n_show is no key of ours. Did you mean n_shown?"),
        ("[run]\nseeed = 3\n", "run.seeed is no key of ours. Did you mean seed?"),
    ],
)
def test_an_unknown_key_is_found_in_every_table(path: Path, text: str, said: str) -> None:
    path.write_text(text + MINIMAL)
    assert said in refuse(path)


def test_all_mistakes_are_told_at_once(path: Path) -> None:
    path.write_text("[specimens]\nmin_specimens = 1\n[concepts]\nn_concepts = 0\ncrop_side = 2\n[vizualize]\n")
    lines = refuse(path, "nonsense", "run.seed=-1").splitlines()
    assert lines[0].endswith("has 7 mistakes:")
    assert all(line.startswith("  - ") for line in lines[1:])
    assert len(lines) == 8
    for word in ("nonsense", "specimens", "classifier", "n_concepts", "crop_side", "vizualize", "run.seed"):
        assert any(word in line for line in lines[1:]), word


def test_a_mistake_says_what_came(path: Path) -> None:
    said = refuse(path, "concepts.n_concepts=120")
    assert "has a mistake:" in said
    assert 'concepts.n_concepts: needs a whole number from 1 to 99, without quotes, or "auto". It is 120.' in said


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("concepts.n_concepts='10'", ["concepts.n_concepts", "'10'"]),
        ("concepts.crop_side='0.5'", ["concepts.crop_side", "'0.5'"]),
        ("run.seed=true", ["run.seed", "True"]),
        ("classifier.input_size='384'", ["classifier.input_size", "'384'"]),
        ("site.budget_mb=inf", ["site.budget_mb", "inf"]),
        ("site.budget_mb=nan", ["site.budget_mb", "nan"]),
        ("visualize.quality=[1]", ["visualize.quality", "[1]"]),
        ("visualize.quality='best'", ["visualize.quality", "'draft', 'standard' or 'fine'", "'best'"]),
        ("visualize.size='large'", ["visualize.size", "'large'"]),
        ("visualize.size=3", ["visualize.size", "3"]),
        ("visualize=3", ["visualize", "3"]),
        ("specimens.split='md5:0'", ["specimens.split", "'md5:0'"]),
        ("classifier.std=[1, 0, 1]", ["classifier.std", "above 0"]),
        ("classifier.mean=[1, 0]", ["classifier.mean"]),
        ("classifier.label_names=3", ["classifier.label_names"]),
        ("atlas.families='Fagaceae'", ["atlas.families", "list", "'Fagaceae'"]),
        ("specimens.draw.n=3", ["root", "draw", "both are"]),
        ("concepts.n_concepts.x=3", ["concepts"]),
        ("=3", ["section.key=value"]),
        ("a..b=3", ["section.key=value"]),
    ],
)
def test_a_wrong_value_is_one_mistake_in_a_sentence(path: Path, override: str, words: list[str]) -> None:
    said = refuse(path, override)
    assert len(said.splitlines()) == 2, said
    for word in words:
        assert word in said.splitlines()[1]


def test_what_must_be_given_is_said(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    said = refuse(path)
    assert "specimens is needed and is not given." in said
    assert "classifier is needed and is not given." in said


def test_neither_root_nor_draw_is_a_mistake(path: Path) -> None:
    path.write_text('[specimens]\n[classifier]\nsource = "herbarium"\n')
    assert "neither is given" in refuse(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"[specimens\n", "is not TOML"), (b"root = leaves\n", "is not TOML"), (b"\xff\xfe\x00", "cannot be read")],
)
def test_a_file_that_is_not_toml_is_said(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    assert said in refuse(path)


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    assert "`leaflineage init`" in refuse(tmp_path / "nowhere.toml")


def test_a_folder_in_place_of_a_file_is_said(tmp_path: Path) -> None:
    assert "cannot be read" in refuse(tmp_path)


def test_a_byte_order_mark_does_no_harm(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load_config(path).classifier.source == "herbarium"


# --- what wins -----------------------------------------------------------------------------------------------


def test_what_is_given_later_wins(path: Path) -> None:
    assert load_config(path).run.seed == 0
    path.write_text(MINIMAL + "[run]\nseed = 1\n")
    assert load_config(path).run.seed == 1
    assert load_config(path, overrides=["run.seed=2"]).run.seed == 2
    assert load_config(path, overrides=["run.seed=2", "run.seed=3"]).run.seed == 3
    assert load_config(path, overrides=["run.seed=2"], flags={"run.seed": 4}).run.seed == 4
    assert load_config(path, overrides=["run.seed=2"], flags={"run.seed": None}).run.seed == 2


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("atlas.title=Oaks & Beeches", "atlas", "title", "Oaks & Beeches"),
        ('atlas.title="Oaks"', "atlas", "title", "Oaks"),
        ("atlas.families=['Fagaceae']", "atlas", "families", ["Fagaceae"]),
        ("concepts.max_cells=5_000", "concepts", "max_cells", 5000),
        ("concepts.drop_blank=false", "concepts", "drop_blank", False),
        ("specimens.split=md5:5", "specimens", "split", "md5:5"),
        (" run.seed = 5", "run", "seed", 5),
        ("atlas.title=a=b", "atlas", "title", "a=b"),
    ],
)
def test_an_override_is_read_as_toml_else_as_a_string(
    path: Path, override: str, section: str, key: str, value: object
) -> None:
    assert getattr(getattr(load_config(path, overrides=[override]), section), key) == value


def test_a_run_is_named_after_its_file_unless_said(path: Path) -> None:
    assert load_config(path).name == "oaks"
    assert load_config(path, name="beeches").name == "beeches"


@pytest.mark.parametrize("quality", PRESETS)
def test_a_quality_sets_what_is_not_given(path: Path, quality: str) -> None:
    found = load_config(path, overrides=[f"visualize.quality={quality}", "visualize.steps=7"]).visualize
    assert found.model_dump(include=set(PRESETS[quality])) == {**PRESETS[quality], "steps": 7}


def test_drawn_leaves_are_replaced_by_a_folder_given_later(path: Path, tmp_path: Path) -> None:
    path.write_text('[specimens.draw]\nn = 3\n[classifier]\nsource = "herbarium"\n')
    found = load_config(path, overrides=[f"specimens.root={tmp_path}"]).specimens
    assert found.draw is None
    assert found.root == tmp_path


# --- paths ---------------------------------------------------------------------------------------------------


def test_paths_in_a_file_are_relative_to_it_and_on_the_command_line_to_where_one_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    found = load_config(path, overrides=["specimens.catalogue=list.csv"])
    assert found.specimens.root == path.parent / "leaves"
    assert found.specimens.catalogue == elsewhere / "list.csv"
    assert load_config(Path("../oaks.toml")) == load_config(path)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("model", "{folder}/model"),
        ("./model/model.safetensors", "{folder}/model/model.safetensors"),
        ("/models/oaks", "/models/oaks"),
        ("local-dir:model", "local-dir:{folder}/model"),
        ("hf-hub:timm/resnet50.a1_in1k", "hf-hub:timm/resnet50.a1_in1k"),
        ("herbarium", "herbarium"),
    ],
)
def test_a_classifier_is_a_path_a_hub_address_or_the_one_that_ships(path: Path, source: str, wanted: str) -> None:
    path.write_text(f'[specimens]\nroot = "leaves"\n[classifier]\nsource = "{source}"\n')
    assert load_config(path).classifier.source == wanted.format(folder=path.parent.resolve())


def test_paths_that_are_there_and_addresses_that_are_no_paths_pass(path: Path) -> None:
    (path.parent / "leaves").mkdir()
    check_paths(load_config(path), path)
    check_paths(load_config(path, overrides=["classifier.source=hf-hub:timm/resnet50.a1_in1k"]), path)
    check_paths(load_config(path, overrides=[f"classifier.source=local-dir:{path.parent}"]), path)


def test_all_paths_that_are_missing_are_told_at_once(path: Path) -> None:
    config = load_config(path, overrides=["classifier.source=model", "classifier.label_names=names.txt"])
    with pytest.raises(ConfigError) as caught:
        check_paths(config, path)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0].strip(" -") for line in lines[1:4]] == [
        "[specimens] root",
        "[classifier] source",
        "[classifier] label_names",
    ]


def test_label_names_are_a_list_or_a_path(path: Path) -> None:
    assert load_config(path, overrides=["classifier.label_names=['A', '-']"]).classifier.label_names == ["A", "-"]
    found = load_config(path, overrides=["classifier.label_names=names.txt"]).classifier.label_names
    assert found == Path.cwd() / "names.txt"


# --- settings of a stage -------------------------------------------------------------------------------------


def test_settings_are_plain_values_by_dotted_key(path: Path) -> None:
    config = load_config(path)
    assert config.settings(["run.seed", "concepts.n_concepts", "specimens.draw.n"]) == {
        "concepts.n_concepts": 10,
        "run.seed": 0,
        "specimens.draw.n": None,
    }
    assert config.settings(["importance"]) == {"importance": {"half_width": 0.02, "max_evaluations": 200_000}}


def test_a_setting_that_does_not_exist_is_a_defect_and_not_none(path: Path) -> None:
    with pytest.raises(KeyError):
        load_config(path).settings(["concepts.n_concept"])


def test_a_config_is_frozen(path: Path) -> None:
    config = load_config(path)
    with pytest.raises(ValueError, match="frozen"):
        config.run.seed = 3  # type: ignore[misc]


positive = st.floats(1e-6, 1e6)
configs = st.fixed_dictionaries(
    {
        "name": st.text(min_size=1, max_size=9),
        "specimens": st.one_of(
            st.fixed_dictionaries({"root": st.just("/leaves")}, optional={"max_pixels": st.integers(1, 10**12)}),
            st.fixed_dictionaries({"draw": st.fixed_dictionaries({}, optional={"n": st.integers(1, 99)})}),
        ),
        "classifier": st.fixed_dictionaries(
            {"source": st.text(max_size=9)},
            optional={
                "label_names": st.lists(st.text(max_size=5), max_size=3) | st.just(Path("/names.txt")),
                "mean": st.tuples(positive, positive, positive),
                "std": st.tuples(positive, positive, positive),
            },
        ),
    },
    optional={
        "visualize": st.fixed_dictionaries(
            {}, optional={"quality": st.sampled_from(list(PRESETS)), "steps": st.integers(0, 900)}
        ),
        "atlas": st.fixed_dictionaries(
            {},
            optional={
                "title": st.text(max_size=9),
                "licences": st.fixed_dictionaries({}, optional={"code": st.text(max_size=5)}),
            },
        ),
        "run": st.fixed_dictionaries({}, optional={"seed": st.integers(0, 2**63)}),
        "site": st.fixed_dictionaries({}, optional={"budget_mb": positive}),
    },
)


@given(configs)
def test_a_config_reaches_a_worker_process_as_it_is(values: dict[str, Any]) -> None:
    config = Config.model_validate(values)
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_a_name_in_the_file_is_a_mistake_because_the_file_names_the_run(tmp_path: Path) -> None:
    path = tmp_path / "oaks.toml"
    path.write_text('name = "elms"\n[specimens]\nroot = "."\n[classifier]\nsource = "herbarium"\n')
    with pytest.raises(ConfigError, match="named after its config's file"):
        load_config(path)
