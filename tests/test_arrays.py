"""Arrays that are written a few rows at a time, and read a few rows at a time."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from leaflineage.arrays import DTYPES, map_arrays
from leaflineage.errors import ArtifactError
from leaflineage.store import Store

NAME = "families/a/activations.safetensors"


def write_in_parts(store: Store, cells: np.ndarray, *, step: int, **held: np.ndarray) -> str:
    with store.stream_arrays(NAME, {"cells": (cells.dtype, cells.shape[1:])}) as stream:
        for start in range(0, len(cells), step):
            stream.append("cells", cells[start : start + step])
        return stream.finish(held)


@pytest.mark.parametrize("n_cells", [0, 1, 7])
def test_a_file_written_in_parts_has_the_bytes_of_one_written_whole(tmp_path: Path, n_cells: int) -> None:
    cells = np.arange(3 * n_cells, dtype=np.float16).reshape(n_cells, 3)
    held = {f"each-{name.lower()}": np.arange(5).astype(dtype) for name, dtype in DTYPES.items()}
    held |= {"turned": np.arange(6).reshape(2, 3).T, "empty": np.zeros((0, 4), dtype=np.float32)}
    held |= {'aé"b': np.ones(3, dtype=np.float16)}
    store = Store(tmp_path)
    parts = write_in_parts(store, cells, step=2, **held)
    whole = store.write_arrays("whole.safetensors", {"cells": cells, **held})
    assert store.path(NAME).read_bytes() == store.path("whole.safetensors").read_bytes()
    assert parts == whole == store.hash_file(NAME)
    assert [path.name for path in store.path(NAME).parent.iterdir()] == ["activations.safetensors"]
    found = store.map_arrays(NAME, stage="extract")
    assert all(np.array_equal(found[key][:], each) for key, each in held.items())


def test_what_is_not_finished_is_absent_and_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def stop() -> Iterator[np.ndarray]:
        yield np.zeros((2, 3), dtype=np.float16)
        raise KeyboardInterrupt

    def write() -> None:
        with store.stream_arrays(NAME, {"cells": (np.float16, (3,))}) as stream:
            for rows in stop():
                stream.append("cells", rows)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert list(store.path(NAME).parent.iterdir()) == []


def test_a_full_disk_is_told_in_a_sentence_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cells = Store(tmp_path), np.ones((4, 3), dtype=np.float16)
    write_in_parts(store, cells, step=4)
    before = store.path(NAME).read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ArtifactError, match=r"activations\.safetensors could not be written .*No space left"):
        write_in_parts(store, cells + 1, step=1)
    assert store.path(NAME).read_bytes() == before
    assert len(list(store.path(NAME).parent.iterdir())) == 1


def test_rows_of_another_kind_than_declared_are_a_defect(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"float16 \(3,\) were declared, and float32 \(3,\) came"):
        write_in_parts_of_another_kind(Store(tmp_path))


def write_in_parts_of_another_kind(store: Store) -> None:
    with store.stream_arrays(NAME, {"cells": (np.float16, (3,))}) as stream:
        stream.append("cells", np.zeros((2, 3), dtype=np.float32))


def test_parts_of_a_mapped_array_are_those_of_the_array(tmp_path: Path) -> None:
    store, cells = Store(tmp_path), np.arange(48, dtype=np.float32).reshape(8, 6)
    write_in_parts(store, cells, step=3)
    mapped = map_arrays(store.path(NAME))["cells"]
    assert (len(mapped), mapped.shape) == (8, (8, 6))
    np.testing.assert_array_equal(mapped[np.array([5, 1])], cells[[5, 1]])
    np.testing.assert_array_equal(np.stack(list(mapped)), cells)
    maps, picked = mapped.reshape(4, 2, -1), mapped.reshape(-1, 2, 6).pick(np.array([3, 0, 1])).pick(np.array([0, 2]))
    np.testing.assert_array_equal(maps[2], cells.reshape(4, 2, 6)[2])
    np.testing.assert_array_equal(picked[:], cells.reshape(4, 2, 6)[[3, 1]])
    assert picked.shape == (2, 2, 6)
    with pytest.raises(ValueError, match="reshape it first"):
        picked.reshape(4, 6)
    found = mapped[2:4]
    found[:] = 0  # a copy
    np.testing.assert_array_equal(mapped[2:4], cells[2:4])


@pytest.mark.parametrize("cut", [4, 30, 200, -1])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    store = Store(tmp_path)
    write_in_parts(store, np.ones((40, 3)), step=40, more=np.ones(3, dtype=np.int16))
    content = store.path(NAME).read_bytes()
    store.path(NAME).write_bytes(content[:cut])
    with pytest.raises(ArtifactError, match=r"is damaged \(.*Run the stage 'extract' again"):
        store.map_arrays(NAME, stage="extract")


@pytest.mark.parametrize(
    "header", [b'{"cells": 3}', b"[]", b'{"cells": {"dtype": "Q4", "shape": [], "data_offsets": [0, 0]}}']
)
def test_a_header_that_says_something_else_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match="header"):
        map_arrays(path)
