"""Pictures of concepts through the run's files: scores, accentuated crops, views, the family's own, and going on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, build_tiny, find_differences, load_tiny
from PIL import Image
from reference import count_pairs, rank_by_sorting
from safetensors.numpy import load_file, save_file

from leaflineage.concepts.encoding import encode
from leaflineage.errors import ModelError
from leaflineage.featviz.maco import FeatureVisualization
from leaflineage.images import cut_image, decode_colours, fit_image
from leaflineage.records import FamilyRecord, Visualization
from leaflineage.stages import visualize, visualizing
from leaflineage.stages.context import Context
from leaflineage.stages.judging import Judge, load_second_classifier, read_squares
from leaflineage.stages.reading import to_tensor
from leaflineage.stages.seeds import derive_seed
from leaflineage.stages.table import PACKAGE, list_sources
from leaflineage.store import Store

pytestmark = pytest.mark.slow
FOLDER = "families/fagaceae"
JUDGE = Judge.judge  # as it is, whatever a test plants over it


def make_context(run: Path, *overrides: str) -> Context:
    return Context(Store(run), load_tiny(*overrides), "fagaceae")


def read_record(run: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run / FOLDER / "visualizations.json").read_text())
    return record


def list_pictures(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / FOLDER / "visualizations").iterdir())}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many pictures each call of the engine was asked for."""
    calls: list[int] = []
    proper = visualizing.visualize_concepts

    def count(features: Any, directions: Any, *arguments: Any, **keywords: Any) -> Any:
        calls.append(len(directions))
        return proper(features, directions, *arguments, **keywords)

    monkeypatch.setattr(visualizing, "visualize_concepts", count)
    return calls


# --- scores ----------------------------------------------------------------------------------------------------


def test_a_score_is_what_pairs_of_squares_and_real_crops_give(tiny_run: Path) -> None:
    context = make_context(tiny_run)
    classifier = context.load_classifier()
    arrays = load_file(tiny_run / FOLDER / "concepts.safetensors")
    bank, maps = arrays["concept_bank"], arrays["maps"].astype(np.float32)
    ids = json.loads((tiny_run / FOLDER / "concepts.json").read_text())["ids"]
    listed = json.loads((tiny_run / FOLDER / "activations.json").read_text())["specimens"]
    by_id = {each.id: each for each in context.specimens}
    squash = context.model.preprocessing.model_copy(update={"fit": "squash"})

    def measure(square: Any) -> Any:
        (cells,) = classifier.features(to_tensor([fit_image(square, preprocessing=squash)[0]])).numpy()
        return encode(cells.reshape(-1, cells.shape[-1]), bank).mean(axis=0)

    name, found = next(iter(read_record(tiny_run)["visualizations"].items()))
    row = ids.index(name)
    crops = []
    for index, each in enumerate(listed):  # drawn leaves: a group each, square, as large as the input
        if maps[index, ..., row].max() > 0:
            image = decode_colours(context.specimens_root / by_id[each].file)
            r, c = np.unravel_index(maps[index, ..., row].argmax(), maps.shape[1:3])
            side = round(0.4 * len(image))
            x, y = (min(max(round((at + 0.5) * 32 - side / 2), 0), len(image) - side) for at in (c, r))
            crops.append(measure(image[y : y + side, x : x + side])[row])
    picture = next(each for each in found if each["kind"] == "concept")
    image = decode_colours(tiny_run / picture["image"])
    squares = [image[s : 64 - s, s : 64 - s] for s in (0, 8, 14, 21)]
    squares[2] = cut_image(image, (14, 14, 49, 49))  # 35 of 64 px
    measured = [measure(np.ascontiguousarray(square)) for square in squares]
    assert picture["score"]["percentile"] == pytest.approx(
        count_pairs([each[row] for each in measured], crops), abs=0.06
    )
    assert picture["score"]["own_rank"] == rank_by_sorting(np.array(measured).tolist(), row)


def test_every_picture_has_a_score_in_the_atlas_and_the_family_its_own(tiny_run: Path) -> None:
    record = FamilyRecord.model_validate_json((tiny_run / FOLDER / "family.json").read_text())
    pictures = [each for concept in record.family.concepts for each in concept.visualizations]
    assert record.family.visualization is not None
    for picture in (*pictures, record.family.visualization):
        assert picture.score is not None
        assert 0 <= picture.score["percentile"] <= 100
        assert picture.score["own_rank"] >= 1
        assert "transfer" not in picture.score
        with Image.open(tiny_run / picture.image) as image:
            assert image.size == (picture.width, picture.height) == (64, 64)


@pytest.mark.parametrize(
    ("score", "failed"),
    [
        ({"percentile": 90.0, "own_rank": 1}, False),
        ({"percentile": 89.9, "own_rank": 1}, True),
        ({"percentile": 100.0, "own_rank": 2}, True),
        (None, False),
    ],
)
def test_a_picture_fails_under_the_ninetieth_percentile_or_behind_another_concept(
    score: dict[str, float] | None, failed: bool
) -> None:
    assert visualize.fails(score) is failed


PASSED, WEAK, SECOND = (
    {"percentile": percentile, "own_rank": rank} for percentile, rank in ((90.0, 1), (40.0, 1), (100.0, 2))
)


@pytest.mark.parametrize(
    ("score", "other", "better"),
    [
        (PASSED, SECOND, True),
        (PASSED, {"percentile": 99.0, "own_rank": 1}, False),
        (WEAK, SECOND, True),  # to show the concept weakly is better than to show another one
        (SECOND, WEAK, False),
        ({"percentile": 41.0, "own_rank": 1}, WEAK, True),
        (WEAK, WEAK, False),
        (None, WEAK, False),
        (WEAK, None, False),
    ],
)
def test_a_score_is_better_where_it_alone_passes_then_by_rank_then_by_percentile(
    score: dict[str, float] | None, other: dict[str, float] | None, better: bool
) -> None:
    assert visualize.is_better(score, other) is better


def test_a_concept_that_no_leaf_holds_has_no_score(tiny_run: Path) -> None:
    context = make_context(tiny_run)
    arrays = load_file(tiny_run / FOLDER / "concepts.safetensors")
    picture = read_squares(context, f"{FOLDER}/visualizations/family.webp", sides=(1.0,))
    listed, nothing = context.specimens, np.zeros_like(arrays["maps"])
    judge = Judge(context, context.load_classifier(), listed, arrays["concept_bank"], nothing, [1], None)
    (verdict,) = judge.judge([picture], [1])
    assert verdict.score is None
    assert verdict.pooled.shape == (1280,)


# --- second tries ----------------------------------------------------------------------------------------------


def plant_scores(monkeypatch: pytest.MonkeyPatch, *calls: list[dict[str, float]]) -> None:
    """Let each call of the judge find the scores given, one call after the other."""
    left = list(calls)

    def plant(self: Judge, pictures: Any, rows: Any) -> Any:
        verdicts = JUDGE(self, pictures, rows)
        return [type(each)(score, each.pooled) for each, score in zip(verdicts, left.pop(0), strict=True)]

    monkeypatch.setattr(Judge, "judge", plant)


@pytest.mark.parametrize(
    "second_score", [PASSED, {"percentile": 60.0, "own_rank": 1}, {"percentile": 30.0, "own_rank": 1}]
)
def test_a_picture_that_fails_is_drawn_again_apart_from_other_concepts_and_the_better_one_stays(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch, counted: list[int], second_score: dict[str, float]
) -> None:
    names = sorted(read_record(tiny_copy)["visualizations"])
    steps = f"visualize.steps={visualizing.ENOUGH_STEPS}"
    monkeypatch.setattr(visualizing, "took_off", lambda picture, direction: True)
    monkeypatch.setattr(visualize, "judge_family", lambda *_: PASSED)
    plant_scores(monkeypatch, [PASSED, WEAK, PASSED], [second_score], [PASSED])
    payload, files = visualize.run(make_context(tiny_copy, steps))
    assert counted == [3, 1, 1]
    first, again = (f"{FOLDER}/visualizations/{names[1]}{end}.webp" for end in ("", "-again"))
    assert {first, again} <= set(files)  # another build need draw neither
    found = payload["visualizations"][names[1]]
    assert found[-1]["score"] == (WEAK if second_score["percentile"] < 40 else second_score)
    assert found[-1]["image"] == (first if second_score["percentile"] < 40 else again)
    assert found[-1].get("apart") == (None if second_score["percentile"] < 40 else visualize.APART)
    behind = [] if second_score is PASSED else ["accentuation"]
    assert [each["kind"] for each in found] == [*behind, "concept"]
    assert Visualization.model_validate(found[-1]).seed == derive_seed(
        0, "fagaceae", names[1], 0 if second_score["percentile"] < 40 else "again"
    )
    counted.clear()
    plant_scores(monkeypatch, [PASSED, WEAK, PASSED], [second_score], [PASSED])
    assert visualize.run(make_context(tiny_copy, steps))[1] == files
    assert counted == []


def test_a_family_is_drawn_from_other_seeds_until_it_passes_and_the_best_one_stays(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visualizing, "took_off", lambda picture, direction: True)
    monkeypatch.setattr(visualize, "fails", lambda score: score["percentile"] < 90)
    plant_scores(monkeypatch, *[[PASSED] * 3] * 2)
    steps = f"visualize.steps={visualizing.ENOUGH_STEPS}"
    for scores, stays in (([WEAK, PASSED], 1), ([WEAK, {"percentile": 50.0, "own_rank": 1}], 1)):
        left = list(scores)
        monkeypatch.setattr(visualize, "judge_family", lambda *_, left=left: left.pop(0))
        payload, files = visualize.run(make_context(tiny_copy, steps))
        assert left == []
        assert payload["family"]["image"] == f"{FOLDER}/visualizations/family-again-{stays}.webp"
        assert payload["family"]["score"] == scores[stays]
        assert payload["family"]["image"] in files


# --- accentuated crops -----------------------------------------------------------------------------------------


def test_a_picture_that_fails_stands_behind_an_accentuated_crop_and_another_stands_alone(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = sorted(read_record(tiny_copy)["visualizations"])
    plant_scores(monkeypatch, [PASSED, WEAK, PASSED], [PASSED])
    payload, files = visualize.run(make_context(tiny_copy))
    kinds = {name: [each["kind"] for each in found] for name, found in payload["visualizations"].items()}
    assert kinds == {names[0]: ["concept"], names[1]: ["accentuation", "concept"], names[2]: ["concept"]}
    first = Visualization.model_validate(payload["visualizations"][names[1]][0])
    assert first.score is not None
    assert first.image in files
    crops = json.loads((tiny_copy / FOLDER / "crops.json").read_text())["crops"][names[1]]
    assert first.specimen == crops[0]["specimen"]
    assert list(first.box or ()) == crops[0]["box"]
    with Image.open(tiny_copy / first.image) as image:
        assert "A" not in image.mode  # no part of a real crop is hidden
    assert {f"{names[0]}-accentuation.webp", f"{names[2]}-accentuation.webp"}.isdisjoint(list_pictures(tiny_copy))


def test_an_accentuated_crop_that_scores_lower_than_the_computed_picture_stands_behind_it(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = sorted(read_record(tiny_copy)["visualizations"])
    plant_scores(monkeypatch, [PASSED, WEAK, PASSED], [{"percentile": 39.0, "own_rank": 1}])
    payload, _ = visualize.run(make_context(tiny_copy))
    assert [each["kind"] for each in payload["visualizations"][names[1]]] == ["concept", "accentuation"]


def test_an_accentuated_crop_carries_its_specimens_credit(tiny_copy: Path) -> None:
    path = tiny_copy / "catalogue.json"
    catalogue = json.loads(path.read_text())
    for each in catalogue["specimens"]:
        each.update(licence="CC-BY-4.0", credit="A. Botanist")
    path.write_text(json.dumps(catalogue))
    payload, _ = visualize.run(make_context(tiny_copy))
    accentuated = [each for found in payload["visualizations"].values() for each in found if each["kind"] != "concept"]
    assert accentuated  # ten steps draw no concept well
    for each in accentuated:
        assert b"A. Botanist" in (tiny_copy / each["image"]).read_bytes()


# --- views -----------------------------------------------------------------------------------------------------


def test_further_views_leave_the_first_as_it_is_and_differ_from_it(
    tiny_run: Path, tiny_copy: Path, counted: list[int]
) -> None:
    payload, _ = visualize.run(make_context(tiny_copy, "visualize.n_visualizations=2"))
    assert counted == [3]  # the second views alone
    before, after = list_pictures(tiny_run), list_pictures(tiny_copy)
    assert {name: after[name] for name in before} == before
    for name, found in payload["visualizations"].items():
        first, second = [each for each in found if each["kind"] == "concept"]
        assert second["image"] == f"{FOLDER}/visualizations/{name}-2.webp"
        assert second["seed"] != first["seed"]
        assert not np.array_equal(*(decode_colours(tiny_copy / each["image"]) for each in (first, second)))


def test_a_view_is_repelled_from_what_the_one_before_is_seen_as(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []
    proper = visualizing.visualize_concepts

    def hear(*arguments: Any, **keywords: Any) -> Any:
        heard.extend(keywords["repelled_from"])
        return proper(*arguments, **keywords)

    monkeypatch.setattr(visualizing, "visualize_concepts", hear)
    context = make_context(tiny_copy, "visualize.n_visualizations=2")
    visualize.run(context)
    name = sorted(read_record(tiny_copy)["visualizations"])[0]
    squares = read_squares(context, f"{FOLDER}/visualizations/{name}.webp", sides=(1.0, 0.75, 0.55, 0.35))
    squash = context.model.preprocessing.model_copy(update={"fit": "squash"})
    seen = context.load_classifier().features(
        to_tensor([fit_image(square, preprocessing=squash)[0] for square in squares])
    )
    assert heard[0].shape == (1, 1280)
    np.testing.assert_allclose(heard[0][0], seen.mean(dim=(0, 1, 2)).numpy(), rtol=1e-3, atol=1e-4)


# --- going on --------------------------------------------------------------------------------------------------


class StoppedError(Exception):
    """As if the process had been killed."""


def test_a_build_killed_after_two_pictures_keeps_them_and_ends_with_the_same_bytes(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: list[int]
) -> None:
    run = tmp_path / "run"
    proper: Callable[..., Any] = Store.commit
    done: list[str] = []

    def stop(self: Store, relative: str, *arguments: Any, **keywords: Any) -> None:
        if "/visualizations/concept-" in relative and len(done) == 2:
            raise StoppedError
        proper(self, relative, *arguments, **keywords)
        done.extend([relative] if "/visualizations/concept-" in relative else [])

    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", stop)
        with pytest.raises(StoppedError):
            build_tiny(run)
    kept = {name: (run / name).stat().st_mtime_ns for name in done}
    assert len(kept) == 2
    counted.clear()
    build_tiny(run)
    assert counted[0] == 1  # what was left of the first family's three; its own picture was there
    assert {name: (run / name).stat().st_mtime_ns for name in done} == kept
    assert find_differences(tiny_run, run) == []


def test_another_row_of_the_bank_draws_one_picture_again(tiny_run: Path, tiny_copy: Path, counted: list[int]) -> None:
    path = tiny_copy / FOLDER / "concepts.safetensors"
    arrays = load_file(path)
    arrays["concept_bank"] = arrays["concept_bank"].copy()
    arrays["concept_bank"][1] = np.roll(arrays["concept_bank"][1], 1)
    save_file(arrays, path)
    visualize.run(make_context(tiny_copy))
    assert counted == [1]
    before, after = list_pictures(tiny_run), list_pictures(tiny_copy)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    drawn = {"concept-02.webp", "concept-02-32.webp", "concept-02.json"}
    assert changed - {name for name in changed if "accentuation" in name} == drawn


@pytest.mark.parametrize("damaged", ["concept-01.webp", "concept-01.json"])
def test_a_picture_that_is_damaged_is_drawn_again_and_alone(
    tiny_run: Path, tiny_copy: Path, counted: list[int], damaged: str
) -> None:
    target = tiny_copy / FOLDER / "visualizations" / damaged
    target.unlink()  # the site holds a hard link to the same bytes
    target.write_bytes(b"damaged")
    visualize.run(make_context(tiny_copy))
    assert counted == [1]
    assert list_pictures(tiny_copy) == list_pictures(tiny_run)


def test_pictures_of_concepts_that_are_shown_no_more_go_with_their_records(tiny_copy: Path) -> None:
    path = tiny_copy / FOLDER / "importance.json"
    record = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({**record, "shown": record["shown"][:1]}))
    visualize.run(make_context(tiny_copy))
    plain = {name.split(".")[0].removesuffix("-32") for name in list_pictures(tiny_copy)}  # less the smaller copies
    stems = {name.removesuffix("-accentuation") for name in plain}
    assert stems == {record["shown"][0], "family"}


def test_a_picture_that_never_takes_off_begins_again_from_other_seeds(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch, counted: list[int]
) -> None:
    steps = f"visualize.steps={visualizing.ENOUGH_STEPS}"
    monkeypatch.setattr(visualize, "fails", lambda score: False)  # none is drawn a second time
    with monkeypatch.context() as patch:
        patch.setattr(visualizing, "took_off", lambda picture, direction: False)
        payload, _ = visualize.run(make_context(tiny_copy, steps))
    assert counted == [3, 3, 3, 1, 1, 1]
    for name, found in payload["visualizations"].items():
        assert found[-1]["seed"] == derive_seed(derive_seed(0, "fagaceae", name, 0), 2)
    counted.clear()
    visualize.run(make_context(tiny_copy, steps))
    assert counted == []  # the last one stays, whatever it shows


def test_a_picture_of_few_steps_is_not_expected_to_take_off(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch, counted: list[int]
) -> None:
    monkeypatch.setattr(visualizing, "took_off", lambda picture, direction: False)
    visualize.run(make_context(tiny_copy, "visualize.steps=2"))
    assert counted == [3, 1]


def test_a_picture_took_off_where_its_activations_lean_towards_its_direction() -> None:
    direction = np.array([1.0, 0.0], dtype=np.float32)

    def make(pooled: list[float]) -> FeatureVisualization:
        image, opacity = np.zeros((2, 2, 3), dtype=np.uint8), np.zeros((2, 2), dtype=np.float32)
        return FeatureVisualization(image, opacity, np.zeros(1), np.array(pooled, dtype=np.float32), 1)

    assert visualizing.took_off(make([0.3, 1.0]), direction)
    assert not visualizing.took_off(make([0.2, 1.0]), direction)
    assert not visualizing.took_off(make([0.0, 0.0]), direction)


def test_every_source_that_draws_is_one_of_the_stages() -> None:
    drawing = set(visualizing.list_drawing_sources())
    assert drawing <= set(list_sources("visualize"))
    assert drawing <= set(list_sources("recurse"))
    assert PACKAGE / "featviz" / "maco.py" in drawing


# --- a second classifier -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another classifier: the drawn leaves' own, by another path."""
    folder = tmp_path_factory.mktemp("second") / "second"
    return Path(shutil.copytree(ROOT / "src/leaflineage/herbarium/classifier", folder))


def test_a_second_classifier_adds_its_opinion_and_draws_nothing_again(
    tiny_copy: Path, counted: list[int], second: Path
) -> None:
    before = read_record(tiny_copy)["visualizations"]
    report = build_tiny(tiny_copy, f"visualize.transfer_classifier={second}")
    assert len(report.built["visualize"]) == 3
    assert counted == []
    for name, found in read_record(tiny_copy)["visualizations"].items():
        for each, earlier in zip(found, before[name], strict=True):
            assert 0 <= each["score"].pop("transfer") <= 100
            assert each == earlier
    assert str(second.parent) not in (tiny_copy / "atlas.json").read_text()
    assert build_tiny(tiny_copy, f"visualize.transfer_classifier={second}").all_fresh


def test_a_second_classifier_that_is_no_classifier_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError):
        load_second_classifier(make_context(tiny_run, f"visualize.transfer_classifier={tmp_path / 'empty'}"))
    with pytest.raises(ModelError, match=r"\[visualize\] transfer_classifier"):
        load_second_classifier(make_context(tiny_run, f"visualize.transfer_classifier={tmp_path / 'none'}"))
