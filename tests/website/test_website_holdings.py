"""The lists of a site's files are those that a plain way gives, from whatever packets they are put together."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaflineage.errors import SiteError
from leaflineage.website import links
from leaflineage.website.holdings import merge_files, pack_files, unpack_files
from leaflineage.website.listing import write_lists
from leaflineage.website.writing import Writer

NAMES = st.text('ab-.é葉 "\\\n\t\x01', min_size=1, max_size=6)
ADDRESSES = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
SITES = st.dictionaries(ADDRESSES, st.integers(0, 10**9), max_size=20)


def hash_of(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()


def pack(sizes: dict[str, int]) -> bytes:
    return pack_files(sizes, {address: hash_of(address) for address in sizes})


def list_plainly(addresses: list[str]) -> dict[str, dict[str, str]]:
    folders: dict[str, dict[str, str]] = {}
    for address in addresses:
        folder, _, name = address.rpartition("/")
        folders.setdefault(folder, {})[name] = hash_of(address)
    return folders


@given(sizes=SITES)
def test_files_are_unpacked_as_they_were_packed(sizes: dict[str, int]) -> None:
    folders = unpack_files(pack(sizes))
    assert sorted(address for each in folders for address in each.list_addresses()) == sorted(sizes)
    assert {each.name: json.loads(each.dump_hashes()) for each in folders} == list_plainly([*sizes])
    assert all(each.list_names() == sorted(each.list_names()) for each in folders)
    assert sum(each.n_bytes for each in folders) == sum(sizes.values())
    assert sum(each.n for each in folders) == len(sizes)


@given(sizes=SITES, owners=st.lists(st.integers(0, 6), min_size=20, max_size=20))
@settings(deadline=None)
def test_several_packets_give_what_one_gives(sizes: dict[str, int], owners: list[int]) -> None:
    parts: list[dict[str, int]] = [{}, {}, {}]
    for owner, (address, size) in zip(owners, sizes.items(), strict=False):
        for place in range(3):
            if (owner + 1) >> place & 1:  # some files stand in two packets or in three
                parts[place][address] = size
    whole = list(merge_files([pack(sizes)], sizes.__getitem__))
    merged = list(merge_files([pack(part) for part in parts], sizes.__getitem__))
    assert [(each.name, each.n, each.n_bytes, json.loads(each.dump_hashes())) for each in merged] == [
        (each.name, each.n, each.n_bytes, json.loads(each.dump_hashes())) for each in whole
    ]


def test_a_file_that_changed_meanwhile_is_told() -> None:
    first, second = (pack_files({"media/a.webp": 1}, {"media/a.webp": sha256 * 64}) for sha256 in "12")
    with pytest.raises(SiteError, match=r"media/a\.webp changed while the site was baked"):
        list(merge_files([first, second], lambda _: 1))


def test_the_lists_hold_each_file_and_what_is_left_over(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "site.part", tmp_path / "site", tmp_path)
    sizes = {"index.html": 5, "data/atlas.json": 7, 'media/families/a/"q".webp': 11, "families/a/index.html": 13}
    former = {"": ["index.html", "old.html", links.MANIFEST], "data": ["atlas.json", "manifest.json"], "gone/x": ["y"]}
    listed = write_lists(writer, [pack(sizes)], former, said={"schema": "s", "drawn": True}, run=None)
    site: dict[str, Any] = json.loads(writer.find(links.MANIFEST).read_bytes())
    hashes: dict[str, Any] = json.loads(writer.find(links.HASHES).read_bytes())
    own = [links.MANIFEST, links.HASHES]
    assert {folder: sorted(names) for folder, names in site.pop("files").items()} == {
        folder: sorted(names) for folder, names in list_plainly([*sizes, *own]).items()
    }
    assert site == {"schema": "s", "drawn": True}
    files = hashes.pop("files")
    assert files[""].pop(links.MANIFEST) == listed.hashes[links.MANIFEST]
    assert files == list_plainly([*sizes])
    assert hashes["run"] is None
    for address in own:
        assert listed.hashes[address] == hashlib.sha256(writer.find(address).read_bytes()).hexdigest()
    weight = sum(sizes.values()) + sum(writer.find(address).stat().st_size for address in own)
    assert (listed.n_pages, listed.n_pictures, listed.n_bytes) == (2, 1, weight)
    assert listed.stale == ["gone/x/y", "old.html"]
