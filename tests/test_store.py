"""The store: whole or absent, the same bits back, damage found."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from leaflineage.errors import ArtifactError
from leaflineage.records import SCHEMAS
from leaflineage.store import Store, encode_json, hash_json

RECORD = "families/fagaceae/concepts.json"
ARRAYS = "families/fagaceae/concepts.safetensors"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "run")


def commit(store: Store, fingerprint: str = "a1") -> None:
    sha256 = store.write_arrays(ARRAYS, {"concept_bank": np.arange(6.0).reshape(2, 3)})
    store.commit(RECORD, "concepts", {"ids": ["concept-01"]}, fingerprint=fingerprint, files={ARRAYS: sha256})


def find_staleness(store: Store, **changes: Any) -> str | None:
    return store.find_staleness(RECORD, "concepts", changes.pop("fingerprint", "a1"), **changes)


# --- whole or absent -----------------------------------------------------------------------------------------


def test_what_was_killed_while_writing_is_invisible(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def killed(path: Path, content: bytes) -> int:
        write(path, content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write_json(RECORD, "concepts", {"ids": ["concept-01"]})
    monkeypatch.undo()
    (left,) = [path.name for path in store.folder.rglob("*") if path.is_file()]
    assert re.fullmatch(r"concepts\.json\..+\.part", left)
    assert not store.exists(RECORD)
    assert find_staleness(store) == "not made yet"
    commit(store)
    assert find_staleness(store) is None
    assert [path.name for path in store.folder.rglob("*.part")] == []


@pytest.mark.parametrize("reason", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_is_one_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def refuse(path: Path, content: bytes) -> int:
        raise OSError(reason, os.strerror(reason), str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(ArtifactError, match=f"could not be written .*{os.strerror(reason)}.* what is finished is kept"):
        commit(store)
    monkeypatch.undo()
    assert list(store.folder.rglob("*.part")) == []
    commit(store)
    assert find_staleness(store) is None


def test_a_run_folder_on_a_read_only_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **words: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ArtifactError, match="could not be written"), Store(tmp_path / "run").lock():
        raise AssertionError("the lock was held")


def test_what_was_killed_leaves_the_earlier_file_as_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write_bytes("notes.txt", b"earlier")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("leaflineage.store.os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write_bytes("notes.txt", b"later")
    assert store.path("notes.txt").read_bytes() == b"earlier"


def test_arrays_without_their_record_are_not_finished(store: Store) -> None:
    store.write_arrays(ARRAYS, {"concept_bank": np.ones((2, 3))})
    assert find_staleness(store) == "not made yet"


def test_a_full_disk_is_said_in_a_sentence_and_leaves_no_part(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("leaflineage.store.os.replace", refuse)
    with pytest.raises(
        ArtifactError, match=r"notes.txt could not be written .*No space left on device.*Free some space"
    ):
        store.write_bytes("notes.txt", b"x")
    assert list(store.folder.rglob("*.part")) == []


def test_a_run_folder_below_a_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ArtifactError, match=r"notes.txt could not be written"):
        Store(tmp_path / "file" / "run").write_bytes("notes.txt", b"x")


def test_a_run_is_held_by_one_build_at_a_time(store: Store) -> None:
    busy = pytest.raises(ArtifactError, match=r"another build is at work in .*--run")
    with store.lock(), busy, Store(store.folder).lock():
        pass
    with Store(store.folder).lock():
        pass


# --- arrays --------------------------------------------------------------------------------------------------

VIEWS = {
    "transposed": lambda a: a.transpose(2, 0, 1),
    "strided": lambda a: a[::2, :, ::3],
    "reversed": lambda a: a[::-1],
    "column-major": np.asfortranarray,
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "empty": lambda a: a[:0],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int32, np.int16, np.uint8, np.bool_])
def test_every_view_of_an_array_survives_the_round_trip(store: Store, view: str, kind: type) -> None:
    array: NDArray[Any] = VIEWS[view](np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(kind))
    store.write_arrays(ARRAYS, {"array": array})
    found = store.read_arrays(ARRAYS, stage="factorize")["array"]
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert np.array_equal(found, array)


def test_the_order_of_arrays_changes_no_byte(store: Store) -> None:
    one, two = np.ones((2, 2)), np.zeros(3, dtype=np.int32)
    assert store.write_arrays("a.safetensors", {"one": one, "two": two}) == store.write_arrays(
        "b.safetensors", {"two": two, "one": one}
    )


@pytest.mark.parametrize("content", [b"", b"\x10", b'{"a": 1}' * 20])
def test_damaged_arrays_name_the_stage_to_run_again(store: Store, content: bytes) -> None:
    store.write_bytes(ARRAYS, content)
    with pytest.raises(ArtifactError, match=r"concepts.safetensors .* is damaged .*Run the stage 'factorize' again"):
        store.read_arrays(ARRAYS, stage="factorize")


def test_missing_arrays_name_the_stage_to_run_again(store: Store) -> None:
    with pytest.raises(ArtifactError, match=r"is not there. Run the stage 'factorize' again"):
        store.read_arrays(ARRAYS, stage="factorize")


# --- JSON ----------------------------------------------------------------------------------------------------


def test_a_record_opens_with_its_schema_and_sorts_the_other_keys() -> None:
    text = encode_json("run", {"zeta": 1, "alpha": {"b": 1, "a": 2}, "schema": "another", "Beta": None}).decode()
    assert text.startswith('{\n "schema": "leaflineage.run/1",\n "Beta": null,\n "alpha": {\n  "a": 2,\n  "b": 1\n }')
    assert list(json.loads(text)) == ["schema", "Beta", "alpha", "zeta"]
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 3, "0.333333"),
        (123456789.0, "123457000.0"),
        (1.23456789e-12, "1.23457e-12"),
        (-0.0, "0.0"),
        (np.float32(0.1), "0.1"),
        (np.float64(2), "2.0"),
        (np.int64(12345678901), "12345678901"),
        (np.bool_(True), "true"),
        (True, "true"),
        (np.array([[0.1, 2 / 3]], dtype=np.float32), "[[0.1,0.666667]]"),
        ((1, "é", None), '[1,"é",null]'),
    ],
)
def test_values_are_written_with_six_digits_and_no_type_of_numpy(value: object, text: str) -> None:
    written = json.dumps(
        json.loads(encode_json("run", {"value": value}))["value"], separators=(",", ":"), ensure_ascii=False
    )
    assert written == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan"), [1.0, {"deep": -np.inf}]])
def test_what_json_cannot_hold_is_refused(store: Store, value: object) -> None:
    with pytest.raises(ArtifactError, match="JSON has no such number"):
        store.write_json(RECORD, "concepts", {"value": value})
    assert not store.exists(RECORD)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('{"schema": "leaflineage.concepts/2"}', "should be of schema leaflineage.concepts/1, and is"),
        ('{"schema": "leaflineage.crops/1"}', "should be of schema"),
        ("{}", "should be of schema leaflineage.concepts/1, and is None"),
        ("[]", "and is 'list'"),
        ('{"schema": ', "cannot be read"),
        ("", "cannot be read"),
        pytest.param("[" * 100_000, "cannot be read", id="nested too deep"),
    ],
)
def test_a_record_of_another_schema_is_refused_and_names_its_stage(store: Store, content: str, what: str) -> None:
    store.write_bytes(RECORD, content.encode())
    with pytest.raises(ArtifactError, match=rf"{what}.*Run the stage 'factorize' again: `leaflineage build`"):
        store.read_json(RECORD, "concepts", stage="factorize")


def test_a_missing_record_names_its_stage(store: Store) -> None:
    with pytest.raises(ArtifactError, match=r"was wanted .* is not there. Run the stage 'factorize' again"):
        store.read_json(RECORD, "concepts", stage="factorize")


def test_every_schema_has_the_name_of_its_kind() -> None:
    assert {kind: f"leaflineage.{kind}/1" for kind in SCHEMAS} == SCHEMAS


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=6), json_values, max_size=5))
def test_writing_what_was_read_changes_no_byte(payload: dict[str, Any]) -> None:
    payload = {key: value for key, value in payload.items() if key not in ("schema", "schema_")}
    first = encode_json("run", payload)
    assert encode_json("run", json.loads(first)) == first


@given(st.dictionaries(st.text(max_size=6), json_values, max_size=5))
def test_a_hash_depends_on_values_and_not_on_their_order(payload: dict[str, Any]) -> None:
    assert hash_json(dict(reversed(payload.items()))) == hash_json(payload)
    assert hash_json({**payload, "one more": 1}) != hash_json(payload)


# --- freshness -----------------------------------------------------------------------------------------------


def test_a_finished_artifact_is_fresh(store: Store) -> None:
    commit(store)
    assert find_staleness(store) is None
    assert find_staleness(Store(store.folder)) is None  # another process, without the cache


def test_another_fingerprint_is_stale(store: Store) -> None:
    commit(store)
    assert find_staleness(store, fingerprint="b2") == "its settings, inputs or code changed"


def test_a_missing_file_is_found(store: Store) -> None:
    commit(store)
    store.remove(ARRAYS)
    assert find_staleness(store) == f"{ARRAYS} is missing"


def test_a_file_that_may_be_dropped_may_miss(store: Store) -> None:
    commit(store)
    store.remove(ARRAYS)
    assert find_staleness(store, disposable=[ARRAYS]) is None


def test_a_damaged_file_is_found_even_where_it_may_miss(store: Store) -> None:
    commit(store)
    content = bytearray(store.path(ARRAYS).read_bytes())
    content[-1] ^= 1  # one bit, the same length
    store.path(ARRAYS).write_bytes(content)
    assert find_staleness(store) == f"{ARRAYS} is damaged"
    assert find_staleness(store, disposable=[ARRAYS]) == f"{ARRAYS} is damaged"


def test_a_damage_is_found_although_the_file_was_hashed_before(store: Store) -> None:
    commit(store)
    assert find_staleness(store) is None
    store.path(ARRAYS).write_bytes(b"another length")
    assert find_staleness(store) == f"{ARRAYS} is damaged"


NO_FILES = '{"schema": "leaflineage.concepts/1", "fingerprint": "a1", "files": []}'


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": "leaflineage.concepts/2"}', NO_FILES])
def test_a_damaged_record_is_found(store: Store, content: str) -> None:
    commit(store)
    store.path(RECORD).write_text(content)
    assert find_staleness(store) == "its record is damaged or of another version"


def test_what_readers_depend_on_is_payload_and_files_not_the_fingerprint(store: Store) -> None:
    commit(store, "a1")
    first = store.hash_artifact(RECORD)
    commit(store, "b2")
    assert store.hash_artifact(RECORD) == first
    assert set(first) == {RECORD, ARRAYS}
    store.commit(RECORD, "concepts", {"ids": ["concept-02"]}, fingerprint="b2", files={ARRAYS: first[ARRAYS]})
    assert store.hash_artifact(RECORD) != first


def test_what_readers_depend_on_is_known_after_a_file_was_dropped(store: Store) -> None:
    commit(store)
    first = store.hash_artifact(RECORD)
    store.remove(ARRAYS)
    assert store.hash_artifact(RECORD) == first


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_an_artifact_that_cannot_be_hashed_is_an_error_of_ours(store: Store, content: str | None) -> None:
    if content is not None:
        store.write_bytes(RECORD, content.encode())
    with pytest.raises(ArtifactError, match=r"concepts.json .*`leaflineage build`"):
        store.hash_artifact(RECORD)


# --- the volatile cache --------------------------------------------------------------------------------------


def test_the_cache_of_hashes_survives_a_round_trip(store: Store) -> None:
    commit(store)
    assert find_staleness(store) is None
    store.save_hash_cache({"a.jpg": (3, 1_700_000_000_123_456_789, "ff", 4, 5)})
    other = Store(store.folder)
    assert other.load_hash_cache() == {"a.jpg": [3, 1_700_000_000_123_456_789, "ff", 4, 5]}
    path, sha256 = store.path(ARRAYS), store.hash_file(ARRAYS)
    known = path.stat()
    path.write_bytes(b"x" * known.st_size)
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert other.hash_file(ARRAYS) == sha256  # not read again
    assert Store(store.folder).hash_file(ARRAYS) != sha256


ODD_ENTRIES = (
    f'{{"schema": "leaflineage.run/1", "artifact_hashes": {{"{ARRAYS}": 5}}, "specimen_hashes": {{"a": [1]}}}}'
)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"schema": "leaflineage.run/1", "artifact_hashes": 3, "specimen_hashes": [1]}', ODD_ENTRIES],
)
def test_a_damaged_cache_is_only_forgotten(store: Store, content: str) -> None:
    commit(store)
    store.write_bytes("run.json", content.encode())
    other = Store(store.folder)
    assert other.load_hash_cache() == {}
    assert find_staleness(other) is None


def test_strays_are_removed_and_what_is_kept_stays(store: Store) -> None:
    for name in ("crops/a/00.webp", "crops/a/01.webp", "crops/b/00.webp", "other/00.webp"):
        store.write_bytes(name, b"x")
    store.remove_strays("crops", ["crops/a/00.webp"])
    found = sorted(path.relative_to(store.folder).as_posix() for path in store.folder.rglob("*") if path.is_file())
    assert found == ["crops/a/00.webp", "other/00.webp"]
    store.remove_strays("nothing-there", [])


def test_slices_of_a_stored_array_are_those_of_the_array(tmp_path: Path) -> None:
    store, cells = Store(tmp_path), np.arange(24, dtype=np.float16).reshape(8, 3)
    store.write_arrays("a.safetensors", {"cells": cells, "other": np.zeros(2)})
    opened = store.map_arrays("a.safetensors", stage="extract")
    np.testing.assert_array_equal(opened["cells"][2:5], cells[2:5])
    assert (opened["cells"].shape, opened["cells"].dtype) == ((8, 3), np.float16)
    assert opened.keys() == {"cells", "other"}


@pytest.mark.parametrize("content", [None, b"nonsense"])
def test_an_array_that_cannot_be_opened_names_the_stage_to_run_again(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"a\.safetensors .*extract"):
        Store(tmp_path).map_arrays("a.safetensors", stage="extract")
