"""From folders and tables to the catalogue: nothing lost, nothing raised for one bad picture."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from leaflineage import images
from leaflineage.errors import SpecimenError
from leaflineage.records import Catalogue, Specimen
from leaflineage.specimens import scan_specimens
from leaflineage.specimens.listing import LEAVES_ROOT

BOUND = 10_000


def make_picture(seed: int = 0, *, kind: str = "JPEG", size: tuple[int, int] = (12, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (seed * 37 % 256, 90, 7)).save(buffer, kind)
    return buffer.getvalue()


def fill(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def scan(root: Path, table: str | bytes | None = None, **more: object) -> Catalogue:
    catalogue = None
    if table is not None:
        catalogue = root.parent / "table.csv"
        catalogue.write_bytes(table if isinstance(table, bytes) else table.encode())
    settings = {"split": "column", "max_pixels": BOUND, "follow_symlinks": False, "catalogue": catalogue, **more}
    return scan_specimens(root=root, **settings)[0]


def by_file(catalogue: Catalogue) -> dict[str, Specimen]:
    return {each.file: each for each in catalogue.specimens}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two families of two pictures each."""
    names = ["Fagaceae/a", "Fagaceae/b", "Rosaceae/c", "Rosaceae/d"]
    return fill(tmp_path / "root", {f"{name}.jpg": make_picture(n) for n, name in enumerate(names)})


# --- folders


def test_folders_are_families_and_files_are_specimens_in_order_of_id(root: Path) -> None:
    catalogue = scan(root)
    assert catalogue.families == ["Fagaceae", "Rosaceae"]
    assert [each.id for each in catalogue.specimens] == ["fagaceae--a", "fagaceae--b", "rosaceae--c", "rosaceae--d"]
    first = catalogue.specimens[0]
    assert (first.file, first.family, first.group, first.role) == (
        "Fagaceae/a.jpg",
        "Fagaceae",
        "fagaceae--a",
        "reference",
    )
    assert (first.width, first.height, first.split, first.in_training) == (12, 8, "unknown", None)
    assert first.sha256 == hashlib.sha256((root / "Fagaceae/a.jpg").read_bytes()).hexdigest()
    assert catalogue.notes == []


def test_all_endings_in_any_case_and_deeper_folders_count(tmp_path: Path) -> None:
    kinds = {
        "JPG": "JPEG",
        "jpeg": "JPEG",
        "Png": "PNG",
        "tif": "TIFF",
        "TIFF": "TIFF",
        "webp": "WEBP",
        "bmp": "BMP",
        "gif": "GIF",
    }
    root = fill(
        tmp_path, {f"Fagaceae/deep/er/{end}.{end}": make_picture(n, kind=kinds[end]) for n, end in enumerate(kinds)}
    )
    specimens = scan(root).specimens
    assert len(specimens) == 8
    assert all(each.set_aside is None and each.family == "Fagaceae" for each in specimens)


def test_hidden_files_zone_maps_and_other_files_are_passed_over(root: Path) -> None:
    others = ["README.md", "Fagaceae/Thumbs.db", "Fagaceae/.a.jpg", "Fagaceae/a.zones.png", ".cache/x.jpg", "x.csv"]
    fill(root, dict.fromkeys(others, b"other"))
    assert len(scan(root).specimens) == 4


def test_names_after_the_schema_are_read(tmp_path: Path) -> None:
    root = fill(tmp_path, {"Fagaceae/Fagaceae_Quercus_alba_Wing_W_7.jpg": make_picture()})
    (specimen,) = scan(root).specimens
    assert (specimen.genus, specimen.species, specimen.source, specimen.catalogue_number) == (
        "Quercus",
        "alba",
        "Wing",
        "W_7",
    )


@pytest.mark.parametrize(
    ("train", "held_out"), [("train", "val"), ("Training", "test"), ("train", "valid"), ("train", "held-out")]
)
def test_a_pair_of_split_folders_above_the_families_is_a_split(tmp_path: Path, train: str, held_out: str) -> None:
    root = fill(tmp_path, {f"{train}/Fagaceae/a.jpg": make_picture(1), f"{held_out}/Fagaceae/a.jpg": make_picture(2)})
    catalogue = scan(root)
    told = {each.split: (each.in_training, each.family) for each in catalogue.specimens}
    assert told == {"train": (True, "Fagaceae"), "held-out": (False, "Fagaceae")}
    assert catalogue.families == ["Fagaceae"]


def test_a_family_beside_a_pair_of_split_folders_stays_a_family(tmp_path: Path) -> None:
    files = ["train/Fagaceae/a.jpg", "val/Fagaceae/b.jpg", "Rosaceae/c.jpg"]
    catalogue = scan(fill(tmp_path, {file: make_picture(n) for n, file in enumerate(files)}))
    assert catalogue.families == ["Fagaceae", "Rosaceae"]
    assert by_file(catalogue)["Rosaceae/c.jpg"].split == "unknown"


def test_a_folder_named_test_among_families_is_a_family(root: Path) -> None:
    fill(root, {"test/x.jpg": make_picture(9)})
    assert scan(root).families == ["Fagaceae", "Rosaceae", "test"]


def test_pictures_without_a_family_folder_are_queries_and_said_so(root: Path) -> None:
    fill(root, {"loose.jpg": make_picture(9)})
    catalogue = scan(root, split="md5:2")
    loose = by_file(catalogue)["loose.jpg"]
    assert (loose.role, loose.family, loose.split, loose.in_training) == ("query", None, "unknown", None)
    assert catalogue.notes == ["1 picture lies in no family's folder: taken as queries."]


@pytest.mark.parametrize("name", ["Rosacées 🌹", "<b>&\"'", "家族", "-rf", "$(id)", "R" * 250, "a\nb"])
def test_a_family_of_any_name_is_kept(tmp_path: Path, name: str) -> None:
    root = fill(tmp_path, {f"{name}/x.jpg": make_picture()})
    (specimen,) = scan(root).specimens
    assert specimen.family == name.replace("\n", " ")
    assert specimen.set_aside is None
    assert (root / specimen.file).is_file()


def test_a_file_name_that_is_not_utf8_is_set_aside(root: Path) -> None:
    (root / os.fsdecode(b"Fagaceae/\xff.jpg")).write_bytes(make_picture(5))
    assert by_file(scan(root))["Fagaceae/\ufffd.jpg"].set_aside == "file name is not UTF-8 (rename it)"


def test_families_that_differ_only_in_case_are_kept_apart_and_said_so(root: Path) -> None:
    catalogue = scan(root, "path,family\nFagaceae/a.jpg,Fagaceae\nFagaceae/b.jpg,fagaceae\n")
    assert catalogue.families == ["Fagaceae", "fagaceae"]
    assert catalogue.notes == ["Families whose names differ only in case are kept apart: Fagaceae, fagaceae."]


# --- pictures that cannot be used


def test_each_bad_picture_is_set_aside_with_its_reason_and_the_others_stay(root: Path) -> None:
    noise = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(noise, "JPEG")
    bad = {
        "Fagaceae/empty.jpg": (b"", images.EMPTY),
        "Fagaceae/page.jpg": (b"<html>404</html>", images.NOT_AN_IMAGE),
        "Fagaceae/drawing.jpg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", images.NOT_AN_IMAGE),
        "Fagaceae/short.jpg": (noise.getvalue()[:-900], images.DAMAGED),
        "Fagaceae/huge.png": (make_picture(kind="PNG", size=(101, 100)), "more than 10,000 pixels"),
    }
    fill(root, {name: data for name, (data, _) in bad.items()})
    found = by_file(scan(root))
    assert len(found) == 9
    assert {name: found[name].set_aside for name in bad} == {name: reason for name, (_, reason) in bad.items()}
    assert all(found[name].sha256 is None and found[name].family == "Fagaceae" for name in bad)


def test_a_file_that_may_not_be_read_is_set_aside(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.open

    def refuse(self: Path, *args: object, **kwargs: object) -> object:
        if self.name == "a.jpg":
            raise PermissionError(13, "Permission denied")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    assert by_file(scan(root))["Fagaceae/a.jpg"].set_aside == images.FORBIDDEN


def test_a_pipe_with_an_images_ending_is_set_aside_without_waiting(root: Path) -> None:
    os.mkfifo(root / "Fagaceae/pipe.jpg")
    assert by_file(scan(root))["Fagaceae/pipe.jpg"].set_aside == images.NOT_A_FILE


def test_links_out_of_the_root_need_permission(root: Path, tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", {"x.jpg": make_picture(8), "more/y.jpg": make_picture(9)})
    (root / "Fagaceae/out.jpg").symlink_to(tmp_path / "elsewhere/x.jpg")
    (root / "Fagaceae/in.jpg").symlink_to(root / "Rosaceae/c.jpg")
    (root / "Fagaceae/gone.jpg").symlink_to(root / "nothing.jpg")
    (root / "Linked").symlink_to(tmp_path / "elsewhere/more")
    catalogue = scan(root)
    found = by_file(catalogue)
    assert found["Fagaceae/out.jpg"].set_aside == LEAVES_ROOT
    assert found["Fagaceae/in.jpg"].set_aside is None
    assert found["Fagaceae/gone.jpg"].set_aside == images.MISSING
    assert "Linked" not in catalogue.families
    assert catalogue.notes[0].startswith("1 linked folder was not followed (first: Linked)")
    followed = scan(root, follow_symlinks=True)
    assert by_file(followed)["Fagaceae/out.jpg"].set_aside is None
    assert by_file(followed)["Linked/y.jpg"].family == "Linked"


def test_a_link_to_a_folder_above_ends(root: Path) -> None:
    (root / "Fagaceae/loop").symlink_to(root)
    assert len(scan(root, follow_symlinks=True).specimens) == 4


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../secret.jpg", "path that leaves the root"),
        ("Fagaceae/../../secret.jpg", "path that leaves the root"),
        ("..\\secret.jpg", "path that leaves the root"),
        (".", "path that leaves the root"),
        ("/etc/secret.jpg", "absolute path in the catalogue (give it relative to the root)"),
        ("C:\\leaves\\secret.jpg", "absolute path in the catalogue (give it relative to the root)"),
        ("Fagaceae/secret.jpg", images.MISSING),
        ("Fagaceae", images.NOT_A_FILE),
        ("x" * 300 + ".jpg", images.MISSING),
        ("nul\0.jpg", "path that no file can have"),
        ("linked/secret.jpg", LEAVES_ROOT),
    ],
)
def test_a_path_in_a_table_that_is_no_picture_in_the_root_is_set_aside(root: Path, path: str, reason: str) -> None:
    fill(root.parent, {"secret.jpg": make_picture()})
    (root / "linked").symlink_to(root.parent)
    catalogue = scan(root, f"path,family\nFagaceae/a.jpg,Fagaceae\n{path},Fagaceae\n")
    bad = [each for each in catalogue.specimens if each.set_aside]
    assert [each.set_aside for each in bad] == [reason]
    assert ".." not in bad[0].file
    assert not bad[0].file.startswith("/")


# --- tables


TABLE = "path,family,genus,species,source,split,group,licence,credit,catalogue_number,px_per_mm"
ROW = 'Fagaceae/a.jpg,Fagaceae,Quercus,alba,Wing,train,leaf-1,CC0,"N., N.",W 7,12.5'


def test_every_column_reaches_the_record(root: Path) -> None:
    (specimen,) = scan(root, f"{TABLE}\n{ROW}\n").specimens
    told = (specimen.family, specimen.genus, specimen.species, specimen.source, specimen.split, specimen.in_training)
    assert told == ("Fagaceae", "Quercus", "alba", "Wing", "train", True)
    told = (specimen.group, specimen.licence, specimen.credit, specimen.catalogue_number, specimen.px_per_mm)
    assert told == ("leaf-1", "CC0", "N., N.", "W 7", 12.5)


@pytest.mark.parametrize(
    "table",
    [
        f"\ufeff{TABLE}\n{ROW}\n".encode(),
        f"{TABLE}\r\n{ROW}\r\n\r\n".encode(),
        f"sep=,\r\n{TABLE}\r\n{ROW}".encode(),
        f"{TABLE}\n{ROW}".replace(",", ";").replace("N.; N.", "N., N.").replace("12.5", "12,5").encode(),
        f"{TABLE}\n{ROW}".replace(",", "\t").replace("N.\t N.", "N., N.").encode(),
        f"{TABLE}\n{ROW}".replace(",", "\t").replace("N.\t N.", "N., N.").encode("utf-16"),
        f"{TABLE}\n{ROW}".replace("path", " Path ")
        .replace("licence", "License")
        .replace("group", "split_group")
        .encode(),
        f"{TABLE}\n{ROW}".replace("catalogue_number", "source_id").replace("px_per_mm", "px per mm").encode(),
        f"{TABLE}\n{ROW}".replace("Fagaceae/a.jpg", "./Fagaceae\\a.jpg").encode(),
    ],
)
def test_tables_as_programs_write_them_say_the_same(root: Path, table: bytes) -> None:
    catalogue = scan(root, table)
    assert catalogue == scan(root, f"{TABLE}\n{ROW}\n")


def test_specimens_stand_in_order_of_id_whatever_the_tables_order(root: Path) -> None:
    catalogue = scan(root, "path,family\nRosaceae/c.jpg,F\nnone.jpg,F\nFagaceae/b.jpg,F\nFagaceae/a.jpg,F\n")
    assert [each.id for each in catalogue.specimens] == ["fagaceae--a", "fagaceae--b", "none", "rosaceae--c"]


def test_columns_in_another_order_say_the_same(root: Path) -> None:
    assert scan(root, "family,path\nRosaceae,Fagaceae/a.jpg\n") == scan(root, "path,family\nFagaceae/a.jpg,Rosaceae\n")


def test_columns_that_mean_nothing_are_named_in_a_note(root: Path) -> None:
    catalogue = scan(root, "path,mood,family,weather\nFagaceae/a.jpg,good,Fagaceae,wet\n")
    assert catalogue.notes == ["table.csv: columns that are not used: mood, weather."]


def test_a_table_without_a_needed_column_names_what_it_has_and_the_nearest(root: Path) -> None:
    with pytest.raises(SpecimenError, match=r"“family” was wanted, found: path, famly\. Did you mean famly\?"):
        scan(root, "path,famly\nFagaceae/a.jpg,Fagaceae\n")


def test_a_quote_that_is_never_closed_is_named_with_its_line(root: Path) -> None:
    with pytest.raises(SpecimenError, match=r"table\.csv, line 3: .*quote"):
        scan(root, 'path,family\nFagaceae/a.jpg,Fagaceae\nFagaceae/b.jpg,"Fagaceae\n')


def test_an_older_encoding_is_read_and_said_so(root: Path) -> None:
    catalogue = scan(root, "path,family\nFagaceae/a.jpg,Fagacées\n".encode("cp1252"))
    assert catalogue.families == ["Fagacées"]
    assert "not UTF-8" in catalogue.notes[0]


def test_an_empty_family_makes_a_query(root: Path) -> None:
    catalogue = scan(root, "path,family\nFagaceae/a.jpg,\nFagaceae/b.jpg,  \nRosaceae/c.jpg,Rosaceae\n")
    assert [each.role for each in catalogue.specimens] == ["query", "query", "reference"]
    assert catalogue.families == ["Rosaceae"]


def test_a_path_listed_twice_counts_once(root: Path) -> None:
    catalogue = scan(root, "path,family\nFagaceae/a.jpg,Fagaceae\n./Fagaceae/a.jpg,Rosaceae\n")
    first, second = catalogue.specimens
    assert (first.id, first.set_aside, first.family) == ("fagaceae--a", None, "Fagaceae")
    assert (second.id, second.set_aside) == ("fagaceae--a-2", "listed twice in the catalogue (the first row counts)")


def test_rows_with_oddities_are_counted(root: Path) -> None:
    rows = ["path,family,px_per_mm", "Fagaceae/a.jpg,Fagaceae,-3", "Fagaceae/b.jpg", ",Fagaceae,1"]
    catalogue = scan(root, "\n".join([*rows, "Rosaceae/c.jpg,Rosaceae,2,more"]))
    assert [each.role for each in catalogue.specimens] == ["reference", "query", "reference"]
    assert [each.px_per_mm for each in catalogue.specimens] == [None, None, 2.0]
    assert catalogue.notes == [
        "table.csv: 1 row with a px_per_mm that is no positive number.",
        "table.csv: 1 row without a path (left out).",
        "table.csv: 1 row with more fields than the header (a comma without quotes?).",
    ]


@pytest.mark.parametrize("name", ["x" * 300, "Rosacées 🌹 <b>&", "R,o;s\ta"])
def test_a_family_in_a_table_may_be_long_or_hostile(root: Path, name: str) -> None:
    assert scan(root, f'path,family\nFagaceae/a.jpg,"{name}"\n').families == [" ".join(name.split())]


def test_a_path_with_accents_is_found_however_they_are_composed(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", {"Brome\u0301lia/e\u0301.jpg": make_picture()})
    (specimen,) = scan(root, "path,family\nBrom\u00e9lia/\u00e9.jpg,Brome\u0301lia\n").specimens
    assert specimen.set_aside is None
    assert specimen.family == "Brom\u00e9lia"
    assert (root / specimen.file).is_file()


# --- splits


@pytest.mark.parametrize(
    ("word", "split", "in_training"),
    [
        ("train", "train", True),
        ("Training", "train", True),
        ("held out", "held-out", False),
        ("VAL", "held-out", False),
        ("test", "held-out", False),
        ("", "unknown", None),
    ],
)
def test_words_for_a_split(root: Path, word: str, split: str, in_training: bool | None) -> None:
    (specimen,) = scan(root, f"path,family,split\nFagaceae/a.jpg,Fagaceae,{word}\n").specimens
    assert (specimen.split, specimen.in_training) == (split, in_training)


def test_a_word_that_is_no_split_is_unknown_and_said_so(root: Path) -> None:
    catalogue = scan(root, "path,family,split\nFagaceae/a.jpg,Fagaceae,fold3\n")
    assert catalogue.specimens[0].split == "unknown"
    assert catalogue.notes == ["Words for a split that mean nothing here: fold3. Use train or held-out."]


def test_md5_holds_out_multiples_of_the_file_names_digest(root: Path) -> None:
    for specimen in scan(root, split="md5:2").specimens:
        digest = int(hashlib.md5(specimen.file.rpartition("/")[2].encode()).hexdigest(), 16)
        assert specimen.in_training is (digest % 2 != 0)


@pytest.mark.parametrize("split", ["md5", "md5:0", "md5:1", "md5:-5", "columns", ""])
def test_a_split_that_is_none_is_refused(root: Path, split: str) -> None:
    with pytest.raises(SpecimenError, match="md5:N"):
        scan(root, split=split)


def test_a_leaf_on_both_sides_of_the_split_is_counted(root: Path) -> None:
    rows = ["path,family,split,group", "Fagaceae/a.jpg,F,train,1", "Fagaceae/b.jpg,F,val,1", "Rosaceae/c.jpg,F,val,1"]
    assert scan(root, "\n".join([*rows, "Rosaceae/d.jpg,F,val,2"])).notes == [
        "2 held-out specimens share a leaf with a training specimen."
    ]


def test_one_file_under_two_families_is_said(root: Path) -> None:
    fill(root, {"Rosaceae/copy.jpg": (root / "Fagaceae/a.jpg").read_bytes()})
    assert scan(root).notes == [
        "2 pictures are byte-identical to one of another group (first: Fagaceae/a.jpg).",
        "1 of these stand under more than one family (first: Fagaceae/a.jpg).",
    ]


# --- scanning again


def test_a_second_scan_reads_no_picture_and_says_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"root": root, "catalogue": None, "split": "none", "max_pixels": BOUND, "follow_symlinks": False}
    seen: list[tuple[int, int]] = []
    first, hashes = scan_specimens(**settings, on_scanned=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("a picture was read again"))
    assert scan_specimens(**settings, known_hashes=hashes) == (first, hashes)


def test_a_changed_file_or_a_lower_bound_is_looked_at_again(root: Path) -> None:
    settings = {"root": root, "catalogue": None, "split": "none", "follow_symlinks": False}
    first, hashes = scan_specimens(**settings, max_pixels=BOUND)
    fill(root, {"Fagaceae/a.jpg": make_picture(77, size=(3, 3))})
    second, again = scan_specimens(**settings, max_pixels=BOUND, known_hashes=hashes)
    assert second.specimens[0].sha256 != first.specimens[0].sha256
    assert second.specimens[0].width == 3
    bounded, _ = scan_specimens(**settings, max_pixels=20, known_hashes=again)
    assert [each.set_aside for each in bounded.specimens] == [None, *["more than 20 pixels"] * 3]


# --- nothing to scan


def test_a_root_that_is_missing_or_a_file_or_empty_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty/Fagaceae").mkdir(parents=True)
    for name, words in [("none", "there is none"), ("file", "it is a file"), ("empty", "one folder a family")]:
        with pytest.raises(SpecimenError, match=words):
            scan(tmp_path / name)


@pytest.mark.parametrize("table", ["", "\n\n", "path,family\n", "path,family\n\n"])
def test_an_empty_table_says_what_it_should_hold(root: Path, table: str) -> None:
    with pytest.raises(SpecimenError, match=r"path.*family"):
        scan(root, table)


def test_a_table_that_is_not_there_is_an_error(root: Path) -> None:
    with pytest.raises(SpecimenError, match=r"\[specimens\] catalogue"):
        scan(root, catalogue=root / "none.csv")


def test_pictures_that_are_all_unusable_give_an_error_with_the_reason(root: Path) -> None:
    with pytest.raises(
        SpecimenError, match=r"none of 2 can be used; 2 for this reason: missing file \(first: x\.jpg\)"
    ):
        scan(root, "path,family\nx.jpg,Fagaceae\ny.jpg,Fagaceae\n")
