"""Concepts inside concepts, through the run's files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import build_tiny, load_tiny
from PIL import Image

from leaflineage.errors import ActivationError
from leaflineage.records import Recursion, name_smaller
from leaflineage.stages.context import Context
from leaflineage.stages.recurse import _make_frame, _place_box
from leaflineage.store import Store

RUN_STAGE = """
import json, sys
from pathlib import Path
from leaflineage.config import Config
from leaflineage.stages import recurse
from leaflineage.stages.context import Context
from leaflineage.store import Store
result = recurse.run(Context(Store(Path(sys.argv[1])), Config.model_validate_json(sys.argv[2]), "fagaceae"))
print(json.dumps([*result, "torch" in sys.modules]))
"""


def test_without_recursion_nothing_is_written_no_torch_is_loaded_and_old_pictures_go(tiny_copy: Path) -> None:
    stray = tiny_copy / "families/fagaceae/recursion/crops/concept-01-01/00.webp"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"of a build with recurse = 2")
    finished = subprocess.run(
        [sys.executable, "-c", RUN_STAGE, str(tiny_copy), load_tiny().model_dump_json()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(finished.stdout) == [{"concepts": {}, "specimens": {}}, {}, False]
    assert not stray.exists()


@pytest.mark.parametrize("row", [0, 1, 2, 3])
@pytest.mark.parametrize("column", [0, 3])
def test_a_smaller_square_lies_in_its_square_around_its_cell(row: int, column: int) -> None:
    square = (30, 50, 130, 150)
    x0, y0, x1, y1 = _place_box(square, row, column, (4, 4))
    assert (x1 - x0, y1 - y0) == (40, 40)
    assert 30 <= x0 < x1 <= 130
    assert 50 <= y0 < y1 <= 150
    assert x0 <= 30 + (column + 0.5) * 25 <= x1
    assert y0 <= 50 + (row + 0.5) * 25 <= y1


def test_a_square_fills_the_input_in_its_own_frame(tiny_run: Path) -> None:
    context = Context(Store(tiny_run), load_tiny(), "fagaceae")
    frame = _make_frame(context, (30, 50, 130, 150), np.zeros((200, 300, 3), dtype=np.uint8))
    assert frame.to_input((30, 50, 130, 150)) == pytest.approx((0, 0, 128, 128))
    assert (frame.width, frame.height) == (300, 200)


def test_a_concept_that_cannot_be_divided_is_named_and_the_way_out_too(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leaflineage.concepts import recursion
    from leaflineage.stages import recurse

    def refuse(*_: object, **__: object) -> None:
        raise ActivationError("Activations were wanted, and every one of them is 0: nothing can be factorised.")

    monkeypatch.setattr(recursion, "divide_concept", refuse)
    context = Context(Store(tiny_copy), load_tiny("concepts.recurse=2"), "fagaceae")
    with pytest.raises(ActivationError, match=r"Fagaceae: concept \d .*every one of them is 0.*recurse = 1"):
        recurse.run(context)


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny atlas whose concepts are divided."""
    run = tmp_path_factory.mktemp("divided") / "run"
    report = build_tiny(run, "concepts.recurse=2", "concepts.n_subconcepts=2", 'atlas.families=["Fagaceae"]')
    assert report.problems == []
    return run


def read_record(run: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run / "families/fagaceae/recursion.json").read_text())
    return record


@pytest.mark.slow
def test_every_shown_concept_is_divided_into_a_tree(divided: Path) -> None:
    record = read_record(divided)
    shown = json.loads((divided / "families/fagaceae/importance.json").read_text())["shown"]
    assert sorted(record["concepts"]) == sorted(shown)
    uids = set()
    for name, each in record["concepts"].items():
        recursion = Recursion.model_validate(each)
        assert recursion.method == "nmf"  # after a ReLU6, inside the last block
        assert 0 < recursion.relative_error < 1
        assert [part.rank for part in recursion.subconcepts] == [1, 2]
        assert sorted(part.id for part in recursion.subconcepts) == [
            f"fagaceae/{name}-01",
            f"fagaceae/{name}-02",
        ]
        assert {part.parent for part in recursion.subconcepts} == {f"fagaceae/{name}"}
        indices = [part.importance.total_sobol_index for part in recursion.subconcepts]
        assert indices == sorted(indices, reverse=True)
        shares = [part.importance.share for part in recursion.subconcepts]
        assert sum(shares) + recursion.rest_share == pytest.approx(1, abs=1e-5)
        for part in recursion.subconcepts:
            low, high = part.importance.interval
            assert low <= part.importance.total_sobol_index <= high
            uids.add(part.uid)
    assert len(uids) == 2 * len(shown)


@pytest.mark.slow
def name_all(picture: dict[str, Any]) -> list[str]:
    """Return the paths of a picture and of its smaller copies."""
    return [picture["image"], *(name_smaller(picture["image"], width) for width in picture["smaller"])]


def test_every_picture_of_a_tree_is_there_and_every_specimen_is_known(divided: Path) -> None:
    record = read_record(divided)
    illustrated = json.loads((divided / "families/fagaceae/crops.json").read_text())["specimens"]
    assert not set(illustrated) & set(record["specimens"]), "no specimen is written twice"
    known = {**illustrated, **record["specimens"]}
    named: set[str] = {name for facts in record["specimens"].values() for name in name_all(facts)}
    for each in record["concepts"].values():
        for part in each["subconcepts"]:
            assert part["crops"]
            assert len(part["visualizations"]) == 1
            named |= {name for picture in part["visualizations"] for name in name_all(picture)}
            coefficients = [crop["coefficient"] for crop in part["crops"]]
            assert coefficients == sorted(coefficients, reverse=True)
            for crop in part["crops"]:
                named |= {crop["image"], crop["heatmap"]}
                x0, y0, x1, y1 = crop["box"]
                facts = known[crop["specimen"]]
                assert 0 <= x0 < x1 <= facts["original_width"]
                assert 0 <= y0 < y1 <= facts["original_height"]
    assert named == set(record["files"])
    assert all((divided / name).is_file() for name in named)
    written = {
        path.relative_to(divided).as_posix() for path in (divided / "families/fagaceae/recursion").rglob("*.webp")
    }
    assert written == named


@pytest.mark.slow
def test_a_subconcept_is_hot_inside_its_square_alone(divided: Path) -> None:
    record = read_record(divided)
    known = {
        **json.loads((divided / "families/fagaceae/crops.json").read_text())["specimens"],
        **record["specimens"],
    }
    part = next(iter(record["concepts"].values()))["subconcepts"][0]
    crop = part["crops"][0]
    facts = known[crop["specimen"]]
    with Image.open(divided / crop["heatmap"]) as veil:
        heat = 1 - np.asarray(veil.convert("RGBA"))[..., 3] / 255
    ys, xs = np.nonzero(heat)
    side = 1.5 * 0.4 * min(facts["original_width"], facts["original_height"])  # half as wide again as crop_side
    scale = facts["original_width"] / heat.shape[1]
    assert (np.ptp(xs) + 1) * scale <= side + 2 * scale
    assert (np.ptp(ys) + 1) * scale <= side + 2 * scale
    peak_y, peak_x = np.unravel_index(heat.argmax(), heat.shape)
    x0, y0, x1, y1 = crop["box"]
    assert x0 - scale <= (peak_x + 0.5) * scale <= x1 + scale
    assert y0 - scale <= (peak_y + 0.5) * scale <= y1 + scale


@pytest.mark.slow
def test_dividing_again_gives_the_same_bytes(divided: Path, tmp_path: Path) -> None:
    import shutil

    from leaflineage.stages import recurse

    run = Path(shutil.copytree(divided, tmp_path / "run"))
    config = load_tiny("concepts.recurse=2", "concepts.n_subconcepts=2", 'atlas.families=["Fagaceae"]')
    payload, files = recurse.run(Context(Store(run), config, "fagaceae"))
    record = read_record(divided)
    assert files == record["files"]
    assert sorted(payload["concepts"]) == sorted(record["concepts"])
    assert set(payload["specimens"]) == set(record["specimens"])
