"""Pictures: what is read right, what is refused in words, where an original lies in the classifier's input."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from leaflineage import images
from leaflineage.errors import SpecimenError
from leaflineage.images import (
    Frame,
    cut_image,
    decode_colours,
    decode_image,
    encode_heatmap,
    encode_png,
    encode_webp,
    fit_image,
    inspect_image,
    label_webp,
    measure_image,
    resize_image,
    shrink_webp,
)
from leaflineage.records import Preprocessing

BOUND = 1_000_000
RED, WHITE = (200, 30, 20), (255, 255, 255)


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decode(data: bytes, *, max_pixels: int = BOUND) -> np.ndarray:
    return decode_image(data, max_pixels=max_pixels)


def make_png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds three bytes of pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\1\2")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def make_corner(width: int = 30, height: int = 20) -> Image.Image:
    """White, with a red block in the upper left corner."""
    image = Image.new("RGB", (width, height), WHITE)
    image.paste(RED, (0, 0, 10, 10))
    return image


def make_preprocessing(fit: str, size: tuple[int, int] = (64, 64), **more: object) -> Preprocessing:
    given_ = {"interpolation": "bicubic", "pad_colour": WHITE, "mean": (0.5,) * 3, "std": (0.5,) * 3, **more}
    return Preprocessing(input_size=size, fit=fit, **given_)


# --- what is read right


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied_in_every_format(tmp_path: Path, kind: str, orientation: int) -> None:
    turns = [
        None,
        None,
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_90,  # what 6 undoes
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_270,
    ]
    stored = make_corner() if turns[orientation] is None else make_corner().transpose(turns[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "leaf"
    path.write_bytes(save(stored, kind, exif=exif))
    image = decode_image(path, max_pixels=BOUND)
    assert image.shape == (20, 30, 3)
    assert image[4, 4, 1] < 100
    assert image[15, 25].min() > 240
    assert measure_image(path, max_pixels=BOUND) == (30, 20)
    found = inspect_image(path, max_pixels=BOUND)
    assert (found.width, found.height, found.fault) == (30, 20, None)


def test_an_orientation_that_a_png_states_after_its_pixels_counts_for_size_and_pixels_alike(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = save(make_corner(), "PNG", exif=exif)
    at = data.index(b"eXIf") - 4
    chunk = data[at : at + 12 + struct.unpack(">I", data[at : at + 4])[0]]
    path = tmp_path / "late.png"
    path.write_bytes(data.replace(chunk, b"").replace(data[-12:], chunk + data[-12:]))
    assert decode_image(path, max_pixels=BOUND).shape == (30, 20, 3)
    assert measure_image(path, max_pixels=BOUND) == (20, 30)
    assert inspect_image(path, max_pixels=BOUND).width == 20


@pytest.mark.parametrize(("mode", "value"), [("L", 90), ("1", 1), ("LA", (90, 255)), ("P", 0)])
def test_grey_bilevel_and_palette_images_become_three_channels(mode: str, value: object) -> None:
    image = decode(save(Image.new(mode, (5, 4), value), "PNG"))
    assert image.shape == (4, 5, 3)
    assert image.dtype == np.uint8
    expected = {"L": 90, "1": 255, "LA": 90, "P": 0}[mode]
    assert np.unique(image).tolist() == [expected]


def test_sixteen_bits_are_scaled_by_their_range_not_cut() -> None:
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        image = decode(save(Image.fromarray(values), kind))
        assert image[0, :, 0].tolist() == [0, 1, 128, 255]


def test_a_dark_sixteen_bit_image_stays_dark() -> None:
    values = np.full((2, 2), 1000, dtype=np.uint16)
    assert np.unique(decode(save(Image.fromarray(values), "PNG"))).tolist() == [4]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], dtype=np.float32), [0, 100, 255]),
        (np.array([[np.nan, np.inf, 1.0]], dtype=np.float32), [0, 0, 255]),
        (np.array([[np.nan, -3.0, 65535.0]], dtype=np.float32), [0, 0, 255]),
        (np.array([[0, 32768, 65535]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0, 2**30, 2**31 - 1]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0, 0, 0]], dtype=np.int32), [0, 0, 0]),
    ],
)
def test_floats_and_long_integers_take_the_smallest_usual_range(values: np.ndarray, expected: list[int]) -> None:
    assert decode(save(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == expected


def test_cmyk_reads_as_pillow_reads_it_and_not_inverted() -> None:
    paper = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    paper.paste((0, 255, 255, 0), (0, 0, 8, 16))
    image = decode(save(paper, "JPEG", quality=95))
    assert image[8, 12].min() > 245
    assert image[8, 3, 0] > 245
    assert image[8, 3, 1:].max() < 12


def test_transparency_lies_on_white() -> None:
    rgba = Image.new("RGBA", (2, 1), (200, 0, 0, 0))
    rgba.putpixel((1, 0), (200, 0, 0, 255))
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([200, 0, 0, 200, 0, 0])
    palette.putpixel((1, 0), 1)
    grey = Image.new("LA", (2, 1), (0, 0))
    grey.putpixel((1, 0), (0, 255))
    keyed = Image.new("RGB", (2, 1), (1, 2, 3))
    keyed.putpixel((1, 0), (200, 0, 0))
    assert decode(save(rgba, "PNG"))[0].tolist() == [[255, 255, 255], [200, 0, 0]]
    assert decode(save(palette, "PNG", transparency=b"\x00\xff"))[0].tolist() == [[255, 255, 255], [200, 0, 0]]
    assert decode(save(grey, "PNG"))[0].tolist() == [[255, 255, 255], [0, 0, 0]]
    assert decode(save(keyed, "PNG", transparency=(1, 2, 3)))[0].tolist() == [[255, 255, 255], [200, 0, 0]]


def test_half_transparent_is_half_white() -> None:
    assert decode(save(Image.new("RGBA", (1, 1), (0, 0, 0, 128)), "PNG"))[0, 0, 0] == 127


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (6, 6), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    for kind in ("GIF", "WEBP", "PNG"):
        options = {"save_all": True, "append_images": frames[1:]}
        image = decode(save(frames[0], kind, **options, **({"lossless": True} if kind == "WEBP" else {})))
        assert image[3, 3].tolist() == [255, 0, 0]


def test_an_embedded_profile_is_turned_into_srgb() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = Image.new("RGB", (4, 4), (120, 60, 200))
    for profile in (lab, srgb, b"no profile at all"):  # the first does not fit, the last is damaged
        assert decode(save(plain, "PNG", icc_profile=profile))[0, 0].tolist() == [120, 60, 200]
    # swap red and green primaries in an sRGB profile: its colours then mean something else
    swapped = srgb.replace(b"sRGB", b"odd ").replace(b"s\0R\0G\0B", b"o\0d\0d\0 ")
    red, green = swapped.index(b"rXYZ"), swapped.index(b"gXYZ")
    swapped = swapped[:red] + b"gXYZ" + swapped[red + 4 : green] + b"rXYZ" + swapped[green + 4 :]
    image = decode(save(Image.new("RGB", (4, 4), (250, 0, 0)), "PNG", icc_profile=swapped))
    assert image[0, 0, 1] > 200
    assert image[0, 0, 0] < 50


# --- what is refused


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
JPEG = save(Image.effect_noise((60, 60), 90).convert("RGB"), "JPEG")
PNG = save(Image.effect_noise((60, 60), 90), "PNG")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", images.EMPTY),
        (SVG, images.NOT_AN_IMAGE),
        (b"<!DOCTYPE html><title>404</title>", images.NOT_AN_IMAGE),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", images.NOT_AN_IMAGE),
        (JPEG[: len(JPEG) // 2], images.DAMAGED),
        (JPEG[:20], images.DAMAGED),
        (PNG[: len(PNG) // 2], images.DAMAGED),
        (save(make_corner(), "TIFF")[:40], images.DAMAGED),
        (save(make_corner(), "WEBP")[:60], images.DAMAGED),
        (make_png_header(9, 9), images.DAMAGED),
        (make_png_header(0, 9), images.DAMAGED),
        (make_png_header(50_000, 50_000), "more than 1,000,000 pixels"),
    ],
)
def test_a_file_that_is_no_whole_picture_gives_a_sentence(data: bytes, fault: str) -> None:
    assert inspect_image(data, max_pixels=BOUND).fault == fault
    with pytest.raises(SpecimenError) as caught:
        decode(data)
    assert fault in str(caught.value)
    assert str(caught.value).endswith(".")


def test_pillows_own_bound_neither_warns_nor_stands_in_the_way_and_is_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 89_000_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert inspect_image(make_png_header(15_000, 10_000), max_pixels=1000).fault == "more than 1,000 pixels"
        # allowed by ours, forbidden by Pillow's: it fails for its missing pixels, not for its size
        assert inspect_image(make_png_header(18_500, 10_000), max_pixels=10**9).fault == images.DAMAGED
    assert Image.MAX_IMAGE_PIXELS == 89_000_000


def test_the_error_names_the_file_not_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "leaf.jpg"
    path.write_bytes(SVG)
    with pytest.raises(SpecimenError, match=r"^leaf\.jpg: a picture of a leaf was wanted"):
        decode_image(path, max_pixels=BOUND)


def test_missing_files_folders_and_pipes_are_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    faults = [inspect_image(tmp_path / f"{name}.jpg", max_pixels=9).fault for name in ("none", "folder", "pipe")]
    assert faults == [images.MISSING, images.NOT_A_FILE, images.NOT_A_FILE]


@given(st.binary(max_size=200), st.sampled_from([JPEG, PNG, save(make_corner(), "GIF"), save(make_corner(), "TIFF")]))
def test_damage_anywhere_gives_a_picture_or_a_specimen_error(noise: bytes, data: bytes) -> None:
    at = len(noise) * 7 % len(data)
    try:
        image = decode(data[:at] + noise + data[at + len(noise) :])
    except SpecimenError:
        return
    assert image.ndim == 3


# --- the classifier's input


def test_padding_keeps_the_whole_leaf_in_the_middle_of_white() -> None:
    image = np.full((20, 40, 3), 30, dtype=np.uint8)
    fitted, frame = fit_image(image, preprocessing=make_preprocessing("pad"))
    assert fitted.shape == (64, 64, 3)
    assert frame.box_in_input() == (0, 16, 64, 48)
    assert fitted[:12].min() == 255
    assert fitted[20:44].max() == 30
    assert fitted[52:].min() == 255


def test_padding_is_the_canvas_resized_exactly_as_the_training_did() -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 90, 3), dtype=np.uint8)
    canvas = Image.new("RGB", (90, 90), WHITE)
    canvas.paste(Image.fromarray(image), (0, (90 - 37) // 2))
    expected = np.asarray(canvas.resize((64, 64), Image.Resampling.BICUBIC))
    fitted, _ = fit_image(image, preprocessing=make_preprocessing("pad"))
    assert np.array_equal(fitted, expected)


def test_padding_to_an_input_that_is_not_square_keeps_the_aspect() -> None:
    image = np.zeros((30, 30, 3), dtype=np.uint8)
    fitted, frame = fit_image(image, preprocessing=make_preprocessing("pad", size=(32, 64)))
    assert fitted.shape == (32, 64, 3)
    assert frame.box_in_input() == (16, 0, 48, 32)


@pytest.mark.parametrize("fit", ["pad", "crop", "squash"])
@pytest.mark.parametrize("shape", [(1, 60_000), (60_000, 1), (1, 1)])
def test_a_picture_of_extreme_shape_needs_no_extreme_memory(
    fit: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    resize = Image.Image.resize

    def watch(self: Image.Image, size: tuple[int, int], *args: object, **kwargs: object) -> Image.Image:
        assert max(self.width * self.height, size[0] * size[1]) <= 64_000_000
        return resize(self, size, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "resize", watch)
    fitted, frame = fit_image(np.zeros((*shape, 3), dtype=np.uint8), preprocessing=make_preprocessing(fit))
    assert fitted.shape == (64, 64, 3)
    assert (fitted == 0).any()
    assert frame.to_original((0, 0, 64, 64))[2] >= 1


@pytest.mark.parametrize(("size", "crop_pct"), [((64, 64), 0.875), ((48, 80), 0.9), ((64, 64), 1.0)])
def test_cropping_equals_timm(size: tuple[int, int], crop_pct: float) -> None:
    timm_data = pytest.importorskip("timm.data")
    image = np.random.default_rng(1).integers(0, 256, (75, 131, 3), dtype=np.uint8)
    transform = timm_data.create_transform(
        (3, *size), is_training=False, crop_pct=crop_pct, interpolation="bicubic", normalize=False
    )
    expected = transform(Image.fromarray(image)).permute(1, 2, 0).numpy()
    fitted, _ = fit_image(image, preprocessing=make_preprocessing("crop", size=size, crop_pct=crop_pct))
    assert np.array_equal(fitted, expected)


@pytest.mark.parametrize("fit", ["pad", "crop", "squash"])
def test_the_frame_says_where_a_mark_went(fit: str) -> None:
    image = np.full((120, 200, 3), 255, dtype=np.uint8)
    image[50:60, 90:110] = 0
    fitted, frame = fit_image(image, preprocessing=make_preprocessing(fit))
    rows, columns = np.nonzero(fitted[:, :, 0] < 128)
    x0, y0, x1, y1 = frame.to_input((90, 50, 110, 60))
    assert abs(columns.min() - x0) <= 1
    assert abs(columns.max() + 1 - x1) <= 1
    assert abs(rows.min() - y0) <= 1
    assert abs(rows.max() + 1 - y1) <= 1


sizes = st.integers(1, 400)


@st.composite
def frames_with_boxes(draw: st.DrawFn) -> tuple[Frame, tuple[int, int, int, int]]:
    width, height = draw(sizes), draw(sizes)
    fit = draw(st.sampled_from(["pad", "crop", "squash"]))
    preprocessing = make_preprocessing(fit, size=(draw(st.integers(1, 40)), draw(st.integers(1, 40))))
    _, frame = fit_image(np.zeros((height, width, 3), dtype=np.uint8), preprocessing=preprocessing)
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return frame, (x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height)))


@given(frames_with_boxes())
def test_a_box_goes_to_the_input_and_comes_back_the_same(case: tuple[Frame, tuple[int, int, int, int]]) -> None:
    frame, box = case
    assert frame.to_original(frame.to_input(box)) == box


@given(frames_with_boxes(), st.tuples(*[st.floats(-1e4, 1e4)] * 4))
def test_any_box_of_the_input_becomes_pixels_that_exist(
    case: tuple[Frame, object], box: tuple[float, float, float, float]
) -> None:
    frame, _ = case
    x0, y0, x1, y1 = frame.to_original(box)
    assert 0 <= x0 < x1 <= frame.width
    assert 0 <= y0 < y1 <= frame.height


# --- cutting, resizing, writing


def test_a_cut_is_half_open_and_a_copy() -> None:
    image = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    cut = cut_image(image, (1, 2, 4, 5))
    assert np.array_equal(cut, image[2:5, 1:4])
    cut[:] = 0
    assert image[2:5, 1:4].any()


@pytest.mark.parametrize("box", [(0, 0, 7, 5), (-1, 0, 2, 2), (2, 2, 2, 4)])
def test_a_box_that_leaves_the_image_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(SpecimenError, match="inside 6 × 5 pixels"):
        cut_image(np.zeros((5, 6, 3), dtype=np.uint8), box)


def test_resizing_keeps_the_aspect_and_never_enlarges() -> None:
    image = np.zeros((100, 300, 3), dtype=np.uint8)
    assert resize_image(image, longer_side=150).shape == (50, 150, 3)
    assert resize_image(image, longer_side=900) is image
    assert resize_image(np.zeros((1, 300, 3), dtype=np.uint8), longer_side=30).shape == (1, 30, 3)


def test_equal_pixels_give_equal_webp_and_other_words_give_others() -> None:
    image = np.random.default_rng(2).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    first = encode_webp(image, quality=80, licence="CC BY 4.0", credit="N. N.")
    assert first == encode_webp(image.copy(), quality=80, licence="CC BY 4.0", credit="N. N.")
    assert first != encode_webp(image, quality=80, licence="CC0", credit="N. N.")


def test_licence_credit_and_source_are_escaped_xmp_and_nothing_else_is_written() -> None:
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    data = encode_webp(
        image, quality=80, licence='<CC> & "BY"', credit="Ärzte\x00 & Söhne", source="https://doi.org/1?a&b"
    )
    with Image.open(io.BytesIO(data)) as opened:
        xmp = opened.info["xmp"].decode()
        assert "exif" not in opened.info
    assert "<CC>" not in xmp
    told = [each.text for each in ET.fromstring(xmp.strip("\0")).iter() if each.text]
    assert told == ['<CC> & "BY"', "Ärzte & Söhne", "https://doi.org/1?a&b"]
    assert b"XMP " not in encode_webp(image, quality=80)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("lossless", [False, True])
def test_a_picture_labelled_later_is_the_one_that_was_labelled_when_it_was_encoded(
    channels: int, lossless: bool
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (31, 47, channels), dtype=np.uint8)
    one = {"licence": "CC BY 4.0", "credit": "N. N.", "source": "a herbarium"}
    other: dict[str, str | None] = {"licence": None, "credit": "odd", "source": None}
    plain = encode_webp(image, quality=84, lossless=lossless, exact=True)
    labelled = encode_webp(image, quality=84, lossless=lossless, exact=True, **one)
    assert label_webp(plain, **one) == labelled
    assert label_webp(labelled, **one) == labelled
    assert label_webp(label_webp(labelled, **other), **one) == labelled
    assert label_webp(labelled, licence=None, credit=None, source=None) == plain
    np.testing.assert_array_equal(decode(label_webp(labelled, **other)), decode(plain))


def test_a_smaller_copy_keeps_aspect_opacity_and_label() -> None:
    picture = np.full((60, 90, 4), 255, dtype=np.uint8)
    picture[:, :45, 3] = 0
    content = encode_webp(picture, quality=84, exact=True, licence="CC0", credit="N. N.", source="x")
    with (
        Image.open(io.BytesIO(shrink_webp(content, width=30, quality=75))) as small,
        Image.open(io.BytesIO(content)) as whole,
    ):
        assert small.size == (30, 20)
        assert small.info["xmp"] == whole.info["xmp"]
        alpha = np.asarray(small)[..., 3]
    assert alpha[:, :13].max() < 30
    assert alpha[:, 17:].min() > 225


def test_colours_of_what_is_transparent_are_kept_on_request_alone(tmp_path: Path) -> None:
    picture = np.zeros((32, 32, 4), dtype=np.uint8)
    picture[:, :16, :3], picture[:, 16:, :3] = (200, 30, 20), (20, 60, 200)
    for name, exact in (("exact", True), ("plain", False)):
        (tmp_path / name).write_bytes(encode_webp(picture, quality=84, exact=exact))
    found = {name: decode_colours(tmp_path / name).astype(int) for name in ("exact", "plain")}
    difference = {name: np.abs(found[name] - picture[..., :3])[:, 24:].mean() for name in found}
    assert difference["exact"] < 12
    assert difference["plain"] > 50


@pytest.mark.parametrize("content", [b"", b"RIFF"])
def test_colours_of_a_damaged_file_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.webp").write_bytes(content)
    with pytest.raises(SpecimenError):
        decode_colours(tmp_path / "x.webp")


def test_lossless_webp_and_png_give_back_the_pixels() -> None:
    image = np.random.default_rng(3).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert np.array_equal(decode(encode_webp(image, quality=100, lossless=True)), image)
    assert np.array_equal(decode(encode_png(image)), image)


def read_heat(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as opened:
        veil = np.asarray(opened.convert("RGBA"))
    assert np.unique(veil[:, :, :3]).tolist() == [250]
    return 1 - veil[:, :, 3] / 255


def encode(heat: np.ndarray, *, fit: str, width: int, height: int, maximum: float = 1.0) -> np.ndarray:
    _, frame = fit_image(np.zeros((height, width, 3), dtype=np.uint8), preprocessing=make_preprocessing(fit))
    data = encode_heatmap(
        heat.astype(np.float32), frame=frame, map_shape=heat.shape, original_size=(width, height), maximum=maximum
    )
    return read_heat(data)


def test_heat_in_the_padding_is_not_laid_over_the_leaf() -> None:
    heat = np.zeros((4, 4))
    heat[0] = 1.0  # the uppermost quarter of the input: padding of a picture twice as wide as high
    veil = encode(heat, fit="pad", width=200, height=100)
    assert veil.shape == (32, 64)
    assert veil[0].max() <= 0.51
    assert veil[12:].max() == 0


def test_the_centre_of_a_cell_has_its_heat() -> None:
    heat = np.zeros((4, 4))
    heat[1, 2] = 0.5
    veil = encode(heat, fit="squash", width=64, height=64)
    rows, columns = np.unravel_index(np.argmax(veil), veil.shape)
    assert abs(rows + 0.5 - 1.5 * 16) <= 1
    assert abs(columns + 0.5 - 2.5 * 16) <= 1
    assert veil.max() == pytest.approx(0.5, abs=0.05)
    assert veil[60:, :20].max() == 0


def test_what_a_centre_crop_never_saw_has_no_heat() -> None:
    veil = encode(np.ones((4, 4)), fit="crop", width=200, height=100)
    assert veil[:, :15].max() == 0
    assert veil[:, 17:47].min() == 1
    assert veil[:, 49:].max() == 0


def test_heat_is_clipped_and_a_zero_maximum_gives_none() -> None:
    assert encode(np.full((2, 2), 9.0), fit="squash", width=10, height=10, maximum=3.0).min() == 1
    assert encode(np.zeros((2, 2)), fit="squash", width=10, height=10, maximum=0.0).max() == 0
