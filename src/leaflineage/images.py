"""Pictures: decode, fit to the classifier's input, cut, resize, encode.

Inside the package an image is an array (height, width, 3) uint8, sRGB, upright. A *frame* says where such an image lies
in the classifier's input, as an affine map along each axis:

    x_input = x_original * scale_x + offset_x

Files are untrusted: the number of pixels is read from the header before anything is decoded, only raster formats that
Pillow decodes by itself are opened, and whatever a decoder raises becomes one sentence.
"""

from __future__ import annotations

import io
import math
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from leaflineage.errors import SpecimenError
from leaflineage.records import Preprocessing

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF")
EMPTY = "empty file"
NOT_AN_IMAGE = "not an image that can be read (JPEG, PNG, TIFF, WebP, BMP or GIF)"
DAMAGED = "truncated or damaged image"
NOT_A_FILE = "not a regular file"
MISSING = "missing file"
FORBIDDEN = "no permission to read it"

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"RIFF")
_HEAT_GREY = 250
_OPACITY_STEP = 3  # of 255: finer differences no eye tells apart, and coarser ones are seen as contours
_RIGHTS, _CREDIT = "http://ns.adobe.com/xap/1.0/rights/", "http://ns.adobe.com/photoshop/1.0/"  # namespaces of XMP
_CORE = "http://purl.org/dc/elements/1.1/"
_LARGEST_CANVAS = 64_000_000  # pixels of an intermediate picture; beyond, padding or cropping comes before resizing

# EXIF orientation -> how the stored rows and columns become upright ones
_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image.swapaxes(0, 1)[:, ::-1],
    7: lambda image: image.swapaxes(0, 1)[::-1, ::-1],
    8: lambda image: image.swapaxes(0, 1)[::-1],
}


# --- reading -------------------------------------------------------------------------------------------------


class _FaultError(Exception):
    """Why a file is no usable picture; never leaves this module."""


@dataclass(frozen=True)
class Inspection:
    """What a picture's file holds: its upright size in pixels, or the fault for which it cannot be used."""

    width: int | None
    height: int | None
    fault: str | None


def decode_image(source: Path | bytes, *, max_pixels: int) -> Pixels:
    """Read a picture as sRGB, upright.

    EXIF orientation is applied, an embedded colour profile is converted to sRGB, transparency lies on white, 16-bit
    and floating-point greys are scaled by their range, and an animation gives its first frame.

    Parameters
    ----------
    source : Path or bytes
        The file, or its bytes.
    max_pixels : int
        Width times height beyond which nothing is decoded.

    Returns
    -------
    (height, width, 3) uint8

    Raises
    ------
    SpecimenError
        If the file is missing, unreadable, empty, no image, truncated or too large.
    """
    try:
        with _open(source, max_pixels=max_pixels) as image:
            return _load_upright(image)
    except _FaultError as fault:
        raise SpecimenError(_make_sentence(source, str(fault))) from fault


def decode_colours(path: Path) -> Pixels:
    """Return (height, width, 3) of a picture we wrote, opacity left aside: transparent pixels keep their colours.

    Raises
    ------
    SpecimenError
        Where it is missing or damaged.
    """
    try:
        with _open(path, max_pixels=_LARGEST_CANVAS) as image:
            return np.ascontiguousarray(np.asarray(image)[..., :3])
    except _FaultError as fault:
        raise SpecimenError(_make_sentence(path, str(fault))) from fault


def measure_image(path: Path, *, max_pixels: int) -> tuple[int, int]:
    """Return (width, height) in pixels of the upright picture, from its header alone.

    Raises
    ------
    SpecimenError
        As `decode_image`, but a picture that is truncated after its header passes.
    """
    try:
        with _open(path, max_pixels=max_pixels) as image:
            return _measure_upright(image)
    except _FaultError as fault:
        raise SpecimenError(_make_sentence(path, str(fault))) from fault


def inspect_image(source: Path | bytes | BinaryIO, *, max_pixels: int) -> Inspection:
    """Decode a picture once to see whether it can be used; never raises for what the file holds."""
    try:
        with _open(source, max_pixels=max_pixels) as image:
            _load(image)
            width, height = _measure_upright(image)
            return Inspection(width=width, height=height, fault=None)
    except _FaultError as fault:
        return Inspection(width=None, height=None, fault=str(fault))


def _make_sentence(source: Path | bytes, fault: str) -> str:
    where = source.name if isinstance(source, Path) else "picture in memory"
    advice = {
        EMPTY: "Copy the file again.",
        DAMAGED: "Copy the file again, or save it anew from its original.",
        MISSING: "Check the path.",
        FORBIDDEN: "Change its permissions.",
    }.get(fault, "Save it as JPEG, PNG or TIFF, or raise [specimens] max_pixels.")
    if fault == NOT_AN_IMAGE:
        advice = "Save it as JPEG, PNG or TIFF."
    return f"{where}: a picture of a leaf was wanted, but this is unusable: {fault}. {advice}"


@contextmanager
def _open(source: Path | bytes | BinaryIO, *, max_pixels: int) -> Iterator[Image.Image]:
    """Open a picture, its size checked, nothing decoded; every failure inside becomes a fault."""
    stream: BinaryIO | None = None
    try:
        if isinstance(source, Path):
            stream = _open_file(source)
        else:
            stream = io.BytesIO(source) if isinstance(source, bytes) else source
        start = stream.read(8)
        stream.seek(0)
        if not start:
            raise _FaultError(EMPTY)
        with _quiet_pillow():
            try:
                image = Image.open(stream, formats=FORMATS)
            except UnidentifiedImageError as error:
                raise _FaultError(DAMAGED if start.startswith(_SIGNATURES) else NOT_AN_IMAGE) from error
            if image.width * image.height > max_pixels:
                raise _FaultError(f"more than {max_pixels:,} pixels")
            if image.width * image.height == 0:
                raise _FaultError(DAMAGED)
            yield image
    except _FaultError:
        raise
    except Exception as error:  # a hostile file can make a decoder raise nearly anything
        raise _FaultError(DAMAGED) from error
    finally:
        if stream is not None and stream is not source:
            stream.close()


def _open_file(path: Path) -> BinaryIO:
    try:
        if path.exists() and not path.is_file():  # a pipe would wait for ever
            raise _FaultError(NOT_A_FILE)
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _FaultError(MISSING) from error
    except PermissionError as error:
        raise _FaultError(FORBIDDEN) from error


class _PixelBound:
    """Pillow's process-wide pixel bound, lifted while one of our files is open (ours is checked instead)."""

    lock = threading.Lock()
    n_open = 0
    saved: int | None = None


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    with _PixelBound.lock:
        if _PixelBound.n_open == 0:
            _PixelBound.saved, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _PixelBound.n_open += 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which we do not use
            yield
    finally:
        with _PixelBound.lock:
            _PixelBound.n_open -= 1
            if _PixelBound.n_open == 0:
                Image.MAX_IMAGE_PIXELS = _PixelBound.saved


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:
        raise _FaultError(DAMAGED) from error


def _read_orientation(image: Image.Image) -> int:
    if image.format == "TIFF":  # Pillow turns TIFFs upright by itself
        return 1
    try:
        if image.format == "PNG" and "exif" not in image.info and not _has_late_exif(image):
            return 1  # PNG's own getexif would decode the picture
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged metadata does not make a picture unusable
        return 1


def _has_late_exif(image: Image.Image) -> bool:
    """Tell whether a PNG may carry its EXIF, or an XMP with an orientation, where the header does not show it."""
    if "XML:com.adobe.xmp" in image.info:
        return True
    stream: Any = getattr(image, "fp", None)
    if stream is None:  # decoded already: whatever there was is in image.info
        return False
    position = stream.tell()
    stream.seek(max(0, stream.seek(0, io.SEEK_END) - 65_536))
    tail = stream.read()
    stream.seek(position)
    return b"eXIf" in tail


def _measure_upright(image: Image.Image) -> tuple[int, int]:
    sideways = _read_orientation(image) >= 5
    return (image.height, image.width) if sideways else (image.width, image.height)


def _load_upright(image: Image.Image) -> Pixels:
    _load(image)
    turn = _UPRIGHT.get(_read_orientation(image))
    pixels = _convert_to_srgb(image)  # (height, width, 3), as stored
    return np.ascontiguousarray(turn(pixels) if turn else pixels)


def _convert_to_srgb(image: Image.Image) -> Pixels:
    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(_scale_grey(image)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        if image.mode == "La":
            image = _keep_info(image.convert("LA"), image)
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        image = _keep_info(Image.alpha_composite(white, picture).convert("RGB"), image)
    elif image.mode == "P":
        image = _keep_info(image.convert("RGB"), image)
    return np.asarray(_apply_profile(image), dtype=np.uint8)


def _keep_info(image: Image.Image, origin: Image.Image) -> Image.Image:
    """Carry the colour profile over a conversion."""
    image.info = {"icc_profile": origin.info.get("icc_profile")}
    return image


def _apply_profile(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "L", "CMYK"):
        try:
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(given).lower():
                target = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, given, target, outputMode="RGB")
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a damaged profile does not make a picture unusable
    return image.convert("RGB")


def _scale_grey(image: Image.Image) -> Pixels:
    """Scale greys of more than 8 bits to (height, width) uint8 by the range of their type."""
    values = np.asarray(image, dtype=np.float32)
    if image.mode.startswith("I;16"):
        bits = 16
        tags: Any = getattr(image, "tag_v2", None)
        if tags is not None:  # 10 or 12 bits are stored in 16
            bits = int(np.max(tags.get(258, 16)))
        top = float(2 ** min(bits, 16) - 1)
    else:  # 32-bit integers and floats state no range: the smallest usual one that holds the values
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        highest = float(values.max())
        tops = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        top = next((each for each in tops if highest <= each), highest)
    grey: Pixels = np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8)
    return grey


# --- the classifier's input ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """Where an upright original lies in the classifier's input: x_input = x_original * scale_x + offset_x.

    All sizes and offsets are pixels; scales are input pixels an original pixel.
    """

    width: int  # of the original
    height: int
    input_width: int
    input_height: int
    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float

    def to_input(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Return a box of the original in pixels of the input, not clipped."""
        x0, y0, x1, y1 = box
        return (
            x0 * self.scale_x + self.offset_x,
            y0 * self.scale_y + self.offset_y,
            x1 * self.scale_x + self.offset_x,
            y1 * self.scale_y + self.offset_y,
        )

    def to_original(self, box: tuple[float, float, float, float]) -> Box:
        """Return a box of the input as whole pixels of the original, half-open, inside it, never empty."""
        x0, x1 = _round_span(box[0], box[2], scale=self.scale_x, offset=self.offset_x, end=self.width)
        y0, y1 = _round_span(box[1], box[3], scale=self.scale_y, offset=self.offset_y, end=self.height)
        return x0, y0, x1, y1

    def box_in_input(self) -> tuple[float, float, float, float]:
        """Return where the original lies in the input; with fit = "crop" it reaches beyond the input's borders."""
        return self.to_input((0, 0, self.width, self.height))


def _round_span(start: float, stop: float, *, scale: float, offset: float, end: int) -> tuple[int, int]:
    first = min(max(round((start - offset) / scale), 0), end - 1)
    last = min(max(round((stop - offset) / scale), first + 1), end)
    return first, last


def fit_image(image: Pixels, *, preprocessing: Preprocessing) -> tuple[Pixels, Frame]:
    """Bring an upright image to the classifier's input size, as the classifier was trained.

    ``"pad"`` puts the whole image in the middle of a canvas of the input's aspect and resizes that; ``"crop"``
    resizes the shorter side to input / crop_pct and cuts the middle out; ``"squash"`` gives up the aspect.
    Normalisation is the model's.

    Parameters
    ----------
    image : (height, width, 3) uint8
    preprocessing : Preprocessing

    Returns
    -------
    (rows, columns, 3) uint8
        The input, in pixels.
    Frame
        Where the original lies in it.
    """
    if preprocessing.fit == "pad":
        return _fit_padded(image, preprocessing)
    if preprocessing.fit == "crop":
        return _fit_cropped(image, preprocessing)
    rows, columns = preprocessing.input_size
    return _resize(image, width=columns, height=rows, preprocessing=preprocessing), _make_frame(
        image, preprocessing, width=columns, height=rows, left=0.0, top=0.0
    )


def _fit_padded(image: Pixels, preprocessing: Preprocessing) -> tuple[Pixels, Frame]:
    rows, columns = preprocessing.input_size
    height, width = image.shape[:2]
    canvas_width = max(width, math.ceil(height * columns / rows))
    canvas_height = max(height, math.ceil(width * rows / columns))
    if canvas_width * canvas_height > _LARGEST_CANVAS:
        return _fit_padded_late(image, preprocessing)
    canvas = np.empty((canvas_height, canvas_width, 3), dtype=np.uint8)
    canvas[:] = preprocessing.pad_colour
    left, top = (canvas_width - width) // 2, (canvas_height - height) // 2
    canvas[top : top + height, left : left + width] = image
    fitted = _resize(canvas, width=columns, height=rows, preprocessing=preprocessing)
    scale_x, scale_y = columns / canvas_width, rows / canvas_height
    return fitted, _make_frame(
        image,
        preprocessing,
        width=width * scale_x,
        height=height * scale_y,
        left=left * scale_x,
        top=top * scale_y,
    )


def _fit_padded_late(image: Pixels, preprocessing: Preprocessing) -> tuple[Pixels, Frame]:
    """Resize, then pad: for pictures so long that a canvas of the input's aspect would not fit in memory."""
    rows, columns = preprocessing.input_size
    height, width = image.shape[:2]
    scale = min(columns / width, rows / height)
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (columns - inner_width) // 2, (rows - inner_height) // 2
    fitted = np.empty((rows, columns, 3), dtype=np.uint8)
    fitted[:] = preprocessing.pad_colour
    inner = _resize(image, width=inner_width, height=inner_height, preprocessing=preprocessing)
    fitted[top : top + inner_height, left : left + inner_width] = inner
    return fitted, _make_frame(image, preprocessing, width=inner_width, height=inner_height, left=left, top=top)


def _fit_cropped(image: Pixels, preprocessing: Preprocessing) -> tuple[Pixels, Frame]:
    rows, columns = preprocessing.input_size
    height, width = image.shape[:2]
    wanted_height = math.floor(rows / preprocessing.crop_pct)
    wanted_width = math.floor(columns / preprocessing.crop_pct)
    if wanted_height == wanted_width:  # torchvision's Resize: the longer side is rounded down
        shorter = min(width, height)
        scaled_width, scaled_height = wanted_width * width // shorter, wanted_height * height // shorter
    else:  # timm's ResizeKeepRatio
        ratio = min(height / wanted_height, width / wanted_width)
        scaled_width, scaled_height = round(width / ratio), round(height / ratio)
    scaled_width, scaled_height = max(scaled_width, columns), max(scaled_height, rows)
    left, top = round((scaled_width - columns) / 2), round((scaled_height - rows) / 2)
    if scaled_width * scaled_height <= _LARGEST_CANVAS:
        scaled = _resize(image, width=scaled_width, height=scaled_height, preprocessing=preprocessing)
        fitted = np.ascontiguousarray(scaled[top : top + rows, left : left + columns])
    else:
        kept = (
            left * width / scaled_width,
            top * height / scaled_height,
            (left + columns) * width / scaled_width,
            (top + rows) * height / scaled_height,
        )
        fitted = _resize(image, width=columns, height=rows, preprocessing=preprocessing, kept=kept)
    return fitted, _make_frame(image, preprocessing, width=scaled_width, height=scaled_height, left=-left, top=-top)


def _make_frame(
    image: Pixels, preprocessing: Preprocessing, *, width: float, height: float, left: float, top: float
) -> Frame:
    """Make the frame of an image that takes ``width`` by ``height`` input pixels from (left, top) on."""
    rows, columns = preprocessing.input_size
    return Frame(
        width=image.shape[1],
        height=image.shape[0],
        input_width=columns,
        input_height=rows,
        scale_x=width / image.shape[1],
        scale_y=height / image.shape[0],
        offset_x=float(left),
        offset_y=float(top),
    )


def _resize(
    image: Pixels,
    *,
    width: int,
    height: int,
    preprocessing: Preprocessing,
    kept: tuple[float, float, float, float] | None = None,
) -> Pixels:
    resample = Image.Resampling[preprocessing.interpolation.upper()]
    resized = Image.fromarray(image).resize((width, height), resample, box=kept)
    return np.array(resized, dtype=np.uint8)


# --- cutting and resizing ------------------------------------------------------------------------------------


def cut_image(image: Pixels, box: Box) -> Pixels:
    """Return the pixels of a box (x0, y0, x1, y1), half-open, as an array of its own.

    Raises
    ------
    SpecimenError
        If the box is empty or reaches out of the image.
    """
    x0, y0, x1, y1 = box
    height, width = image.shape[:2]
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise SpecimenError(
            f"A box inside {width} × {height} pixels was wanted, got ({x0}, {y0}, {x1}, {y1}). "
            "The picture has changed since its crops were chosen: build again."
        )
    return image[y0:y1, x0:x1].copy()


def resize_image(image: Pixels, *, longer_side: int) -> Pixels:
    """Return the image with a longer side of at most ``longer_side`` pixels; it is never enlarged."""
    height, width = image.shape[:2]
    scale = longer_side / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS), dtype=np.uint8)


# --- writing -------------------------------------------------------------------------------------------------


def encode_webp(
    image: Pixels,
    *,
    quality: int,
    lossless: bool = False,
    exact: bool = False,
    licence: str | None = None,
    credit: str | None = None,
    source: str | None = None,
) -> bytes:
    """Encode (height, width, 3 or 4) uint8 as WebP: equal pixels and words give equal bytes.

    Nothing of the input's metadata is kept; licence, credit and source are written as XMP
    (xmpRights:UsageTerms, photoshop:Credit, dc:source). ``exact`` keeps the colours of what is transparent.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(
        buffer,
        "WEBP",
        quality=quality,
        lossless=lossless,
        exact=exact or lossless,
        method=4,
        xmp=_make_xmp(licence=licence, credit=credit, source=source),
    )
    return buffer.getvalue()


def label_webp(content: bytes, *, licence: str | None, credit: str | None, source: str | None) -> bytes:
    """Return a WebP with other words in its XMP and the same pixels, not encoded again."""
    with Image.open(io.BytesIO(content)) as image:
        (width, height), has_alpha = image.size, image.mode == "RGBA"
    chunks = [(name, data) for name, data in _read_chunks(content) if name not in (b"VP8X", b"XMP ")]
    xmp = _make_xmp(licence=licence, credit=credit, source=source)
    if xmp:
        chunks.append((b"XMP ", xmp))
    if xmp or len(chunks) > 1:  # more than the one chunk of pixels needs a header that says so
        flags = 0x10 * has_alpha | 0x04 * bool(xmp)
        sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        chunks.insert(0, (b"VP8X", bytes([flags, 0, 0, 0]) + sizes))
    body = b"".join(name + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def shrink_webp(content: bytes, *, width: int, quality: int) -> bytes:
    """Return a WebP we wrote as a smaller one, ``width`` px wide, its XMP kept, opacity as `round_opacity` has it."""
    with Image.open(io.BytesIO(content)) as image:
        size = (width, max(1, round(image.height * width / image.width)))
        small = image.resize(size, Image.Resampling.LANCZOS)
        xmp = image.info.get("xmp", b"")
    if small.mode == "RGBA":
        pixels = np.array(small)
        pixels[..., 3] = round_opacity(pixels[..., 3] / 255)
        small = Image.fromarray(pixels)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=quality, method=4, xmp=xmp)
    return buffer.getvalue()


def round_opacity(opacity: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return (height, width) opacity in [0, 1] as uint8 in steps that a file holds in a third fewer bytes.

    WebP's own ``alpha_quality`` takes so few steps where a picture fades that they show as contours.
    """
    return (np.round(opacity * (255 / _OPACITY_STEP)) * _OPACITY_STEP).astype(np.uint8)


def _read_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and data of each chunk of a WebP."""
    start = 12  # after "RIFF", its length and "WEBP"
    while start + 8 <= len(content):
        length = int.from_bytes(content[start + 4 : start + 8], "little")
        yield content[start : start + 4], content[start + 8 : start + 8 + length]
        start += 8 + length + length % 2


def encode_png(image: Pixels) -> bytes:
    """Encode (height, width) or (height, width, 3 or 4) uint8 as PNG, without metadata."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def encode_heatmap(
    map: NDArray[np.float32],  # noqa: A002
    *,
    frame: Frame,
    map_shape: tuple[int, int],
    original_size: tuple[int, int],
    maximum: float,
    longer_side: int = 64,
) -> bytes:
    """Encode where a concept is active, as a veil to be stretched over the original picture.

    The map's cells are spread over the classifier's input; the veil is cut to the original's frame by bilinear
    interpolation between cell centres. What the classifier did not see has no heat.

    Parameters
    ----------
    map : (rows, columns) float32 ≥ 0
        Coefficients of one concept, a cell each.
    frame : Frame
        Where the original lies in the input.
    map_shape : (rows, columns)
    original_size : (width, height), pixels
    maximum : float
        The coefficient at which heat is 1.
    longer_side : int
        Of the veil, pixels.

    Returns
    -------
    bytes
        Lossless WebP: grey, with alpha = 1 − map / maximum, clipped to [0, 1].
    """
    heat = np.asarray(map, dtype=np.float64).reshape(map_shape)
    width, height = original_size
    scale = longer_side / max(width, height)
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    x = (np.arange(columns) + 0.5) * (width / columns) * frame.scale_x + frame.offset_x  # input pixels
    y = (np.arange(rows) + 0.5) * (height / rows) * frame.scale_y + frame.offset_y
    heat = _interpolate(heat, x / frame.input_width * map_shape[1] - 0.5, axis=1)  # (map rows, columns)
    heat = _interpolate(heat, y / frame.input_height * map_shape[0] - 0.5, axis=0)  # (rows, columns)
    seen = ((y >= 0) & (y <= frame.input_height))[:, None] & ((x >= 0) & (x <= frame.input_width))[None, :]
    heat = np.where(seen, heat / maximum, 0.0) if maximum > 0 else np.zeros_like(heat)
    veil = np.full((rows, columns, 4), _HEAT_GREY, dtype=np.uint8)
    veil[:, :, 3] = np.rint(255.0 * (1.0 - np.clip(heat, 0.0, 1.0)))
    return encode_webp(veil, quality=100, lossless=True)


def _interpolate(values: NDArray[np.float64], places: NDArray[np.float64], *, axis: int) -> NDArray[np.float64]:
    """Read ``values`` between its indices along one axis; the outermost hold beyond the ends."""
    last = values.shape[axis] - 1
    places = np.clip(places, 0, last)
    lower = np.floor(places).astype(np.intp)
    upper = np.minimum(lower + 1, last)
    weight = (places - lower)[None, :] if axis == 1 else (places - lower)[:, None]
    taken: NDArray[np.float64] = values.take(lower, axis) * (1 - weight) + values.take(upper, axis) * weight
    return taken


def _make_xmp(*, licence: str | None, credit: str | None, source: str | None) -> bytes:
    """Make a small XMP packet, or none where there is nothing to say.

    It stands in tens of thousands of small pictures: no namespace but those used, no padding, and no wrapper, which
    only formats need that have no place of their own for it.
    """
    if not (licence or credit or source):
        return b""
    terms = f'<rdf:Alt><rdf:li xml:lang="x-default">{_escape(licence)}</rdf:li></rdf:Alt>' if licence else ""
    lines = [
        f'<xmpRights:UsageTerms xmlns:xmpRights="{_RIGHTS}">{terms}</xmpRights:UsageTerms>' if licence else "",
        f'<photoshop:Credit xmlns:photoshop="{_CREDIT}">{_escape(credit)}</photoshop:Credit>' if credit else "",
        f'<dc:source xmlns:dc="{_CORE}">{_escape(source)}</dc:source>' if source else "",
    ]
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="">{"".join(lines)}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def _escape(text: str | None) -> str:
    """Escape for XML, without the characters XML 1.0 cannot hold."""
    return escape(re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text or ""))
