"""Arrays that may be larger than memory: safetensors files written a few rows at a time, and read a few at a time.

A file that is written in parts has the bytes that safetensors gives the whole: a JSON header, then the arrays by
falling size of their numbers and by name. A file that is read is memory-mapped, and the pages a copy was taken from are
let go at once, so that a process holds what it asked for and no more.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import mmap
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# Names of safetensors, in the order in which it lays arrays out: the last comes first.
DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "I16": np.dtype(np.int16),
    "U16": np.dtype(np.uint16),
    "F16": np.dtype(np.float16),
    "I32": np.dtype(np.int32),
    "U32": np.dtype(np.uint32),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "I64": np.dtype(np.int64),
    "U64": np.dtype(np.uint64),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
ORDER = list(DTYPES)
COPIED = 2**20  # bytes at a time
Declared = Mapping[str, tuple[DTypeLike, tuple[int, ...]]]


class MappedArray:
    """An array of a file, of which parts are copied out when they are asked for.

    Attributes
    ----------
    shape, dtype
        As of the array.
    """

    def __init__(self, view: NDArray[Any], mapping: mmap.mmap, places: NDArray[np.intp] | None = None) -> None:
        self._view, self._mapping, self._places = view, mapping, places

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return (len(self), *self._view.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its numbers."""
        return self._view.dtype

    def __len__(self) -> int:
        return len(self._view) if self._places is None else len(self._places)

    def __getitem__(self, key: int | slice | NDArray[np.integer]) -> NDArray[Any]:
        """Return a copy of one entry of the first axis, of a slice or of a list of them."""
        chosen = key if self._places is None else self._places[key]
        found: NDArray[Any] = np.array(self._view[chosen])
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapping.madvise(mmap.MADV_DONTNEED)
        return found

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[index] for index in range(len(self)))

    def reshape(self, *shape: int) -> MappedArray:
        """Return the same array in another shape; nothing is read."""
        if self._places is not None:
            raise ValueError("an array is wanted in another shape, and some of its rows are picked: reshape it first")
        return MappedArray(self._view.reshape(*shape), self._mapping)

    def pick(self, places: NDArray[np.integer]) -> MappedArray:
        """Return some entries of the first axis as an array of their own; nothing is read."""
        chosen = np.asarray(places, dtype=np.intp)
        return MappedArray(self._view, self._mapping, chosen if self._places is None else self._places[chosen])


def map_arrays(path: Path) -> dict[str, MappedArray]:
    """Map the arrays of a safetensors file.

    Raises
    ------
    OSError
        Where the file cannot be opened.
    ValueError
        Where it is no safetensors file, or is cut off.
    """
    with path.open("rb") as stream:
        size = path.stat().st_size
        start = stream.read(8)
        n_header = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if 8 + n_header > size:
            raise ValueError("its header is cut off")
        try:
            header = json.loads(stream.read(n_header))
            entries = [
                (key, DTYPES[each["dtype"]], tuple(each["shape"]), *each["data_offsets"])
                for key, each in header.items()
                if key != "__metadata__"
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"its header says nothing of {error}") from error
        mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    found = {}
    for key, dtype, shape, first, last in entries:
        count, offset = math.prod(shape), 8 + n_header + first
        if last - first != dtype.itemsize * count or 8 + n_header + last > size:
            raise ValueError(f"its array {key!r} is cut off")
        found[key] = MappedArray(np.frombuffer(mapping, dtype, count, offset).reshape(shape), mapping)
    return found


class ArraySpool:
    """Arrays that come a few rows at a time: each goes to a file of its own, and in the end all into one.

    Parameters
    ----------
    target
        The file that is wanted.
    declared
        Type and shape of a row of each array that comes in parts.
    mark
        What tells our parts from another process's.
    explain
        Turns what the disk says into the error that is raised.
    """

    def __init__(self, target: Path, declared: Declared, *, mark: str, explain: Callable[[OSError], Exception]) -> None:
        self._explain = explain
        self._target, self._part = target, target.with_name(f"{target.name}.{mark}.part")
        self._declared = {key: (np.dtype(dtype), shape) for key, (dtype, shape) in declared.items()}
        self._paths = {key: target.with_name(f"{target.name}.{key}.{mark}.part") for key in declared}
        self._streams: dict[str, IO[bytes]] = {}
        self._counts = dict.fromkeys(declared, 0)

    def append(self, key: str, rows: NDArray[Any]) -> None:
        """Add rows (n, …) to an array.

        Raises
        ------
        ValueError
            Where they are not of the declared type and shape: a defect of ours.
        """
        dtype, shape = self._declared[key]
        if rows.dtype != dtype or rows.shape[1:] != shape:
            raise ValueError(f"{key}: rows of {dtype} {shape} were declared, and {rows.dtype} {rows.shape[1:]} came")
        with self._explaining():
            if key not in self._streams:
                self._paths[key].parent.mkdir(parents=True, exist_ok=True)
                self._streams[key] = self._paths[key].open("wb")
            self._streams[key].write(np.ascontiguousarray(rows).data)
        self._counts[key] += len(rows)

    def finish(self, arrays: Mapping[str, NDArray[Any]]) -> str:
        """Put the file in place, whole, with further arrays that are held; return its sha256."""
        shapes = {key: (dtype, (self._counts[key], *shape)) for key, (dtype, shape) in self._declared.items()}
        shapes.update((key, (each.dtype, each.shape)) for key, each in arrays.items())
        digest = hashlib.sha256()
        with self._explaining():
            for stream in self._streams.values():
                stream.close()
            self._part.parent.mkdir(parents=True, exist_ok=True)
            with self._part.open("wb") as whole:
                for content in self._list_content(shapes, arrays):
                    digest.update(content)
                    whole.write(content)
            os.replace(self._part, self._target)
        return digest.hexdigest()

    def remove(self) -> None:
        """Remove what is left of the parts."""
        for stream in self._streams.values():
            with contextlib.suppress(OSError):  # a full disk refuses what was still to be written
                stream.close()
        for path in (self._part, *self._paths.values()):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._explain(error) from error

    def _list_content(
        self, shapes: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]], arrays: Mapping[str, NDArray[Any]]
    ) -> Iterator[bytes | memoryview]:
        """Yield the file's bytes: the header, then array after array."""
        names = sorted(shapes, key=lambda key: (-ORDER.index(NAMES[shapes[key][0]]), key))
        header, stop = {}, 0
        for key in names:
            dtype, shape = shapes[key]
            start, stop = stop, stop + dtype.itemsize * math.prod(shape)
            header[key] = {"dtype": NAMES[dtype], "shape": list(shape), "data_offsets": [start, stop]}
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        yield struct.pack("<Q", len(text)) + text
        for key in names:
            if key in arrays:
                yield np.ascontiguousarray(arrays[key]).tobytes()
            elif key in self._streams:
                with self._paths[key].open("rb") as stream:
                    while piece := stream.read(COPIED):
                        yield piece
