"""A small GGUF reader: metadata by one pass over the bytes, tensors dequantised one at a time.

Written after the published layout of the GGUF format, version 3. The reader of the ``gguf`` package builds an object
for each of the hundred thousand strings of a vocabulary and takes half a minute; this one takes about a second.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quant_shape_to_byte_shape
from numpy.typing import NDArray

from fedpsma.errors import InputError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor lies: ``shape`` in NumPy order (rows first), ``offset`` in bytes after the header."""

    shape: tuple[int, ...]
    quantisation: GGMLQuantizationType
    offset: int


@dataclass(frozen=True)
class GgufFile:
    """The opened file: ``metadata`` by key, the places of the tensors by name, and the bytes of the file."""

    metadata: dict[str, Any]
    places: dict[str, TensorPlace]
    content: bytes | mmap.mmap
    start: int

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Return one tensor dequantised to float32."""
        place = self.places[name]
        byte_shape = _byte_shape(place)
        raw = np.frombuffer(self.content, np.uint8, count=int(np.prod(byte_shape)), offset=self.start + place.offset)
        values: NDArray[np.float32] = dequantize(raw.reshape(byte_shape), place.quantisation)
        return values.reshape(place.shape)

    def tensors(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield every tensor by name, dequantised to float32."""
        for name in self.places:
            yield name, self.tensor(name)


def read_gguf(path: Path) -> GgufFile:
    """Open a GGUF file and read its metadata.

    Raises:
        InputError: The file is not GGUF of version 2 or 3, or is cut short.
    """
    try:
        with path.open("rb") as stream:
            return _parse(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise InputError(f"is not a readable GGUF file ({error})", where=str(path), remedy="fetch it again") from error


def _parse(content: bytes | mmap.mmap) -> GgufFile:
    cursor = _Cursor(content)
    magic, (version, tensor_count, key_count) = cursor.take(4), cursor.unpack("IQQ")
    if magic != MAGIC or version not in VERSIONS:
        raise ValueError(f"starts with {magic!r}, version {version}")
    metadata = {}
    for _ in range(key_count):
        key = cursor.string()
        metadata[key] = cursor.value(cursor.scalar("I"))
    places = {}
    for _ in range(tensor_count):
        name = cursor.string()
        shape = tuple(cursor.unpack(f"{cursor.scalar('I')}Q"))
        kind, offset = cursor.unpack("IQ")
        places[name] = TensorPlace(shape[::-1], GGMLQuantizationType(kind), offset)
    alignment = int(metadata.get("general.alignment", 32))
    return GgufFile(metadata, places, content, start=-(-cursor.position // alignment) * alignment)


def _byte_shape(place: TensorPlace) -> tuple[int, ...]:
    if place.quantisation in (GGMLQuantizationType.F32, GGMLQuantizationType.F16):
        return (*place.shape[:-1], place.shape[-1] * GGML_QUANT_SIZES[place.quantisation][1])
    return tuple(quant_shape_to_byte_shape(place.shape, place.quantisation))


class _Cursor:
    """Walks over little-endian bytes."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self.content = content
        self.position = 0

    def take(self, size: int) -> bytes:
        chunk = self.content[self.position : self.position + size]
        if len(chunk) < size:
            raise ValueError("the file is cut short")
        self.position += size
        return chunk

    def unpack(self, form: str) -> tuple[Any, ...]:
        layout = struct.Struct(f"<{form}")
        return layout.unpack(self.take(layout.size))

    def scalar(self, form: str) -> Any:
        return self.unpack(form)[0]

    def string(self) -> str:
        return self.take(self.scalar("Q")).decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind])
        inner, count = self.unpack("IQ")
        if inner in (_STRING, _ARRAY):
            return [self.value(inner) for _ in range(count)]
        return list(self.unpack(f"{count}{_SCALARS[inner]}"))
