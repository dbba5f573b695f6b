"""Messages over the socket of the steward: a length, a JSON header, and the bytes of the arrays; nothing is unpickled.

Both ends bound what they take, because neither trusts the other: whoever runs approved code in the shim could write
anything to the socket.
"""

from __future__ import annotations

import json
import math
import select
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from client.envelope import KEYS, RECORDS, Envelope

LONGEST_HEADER = 16 * 2**20
LARGEST_ARRAYS = 4 * 2**30
MOST_ARRAYS = 20_000
# Together with a step of training, well within ten seconds.
LOOK_S = 3.0
_LENGTH = struct.Struct(">I")


class WireError(Exception):
    """What came over the socket is no message, or is too large."""


class _Array(BaseModel):
    """Name, type and shape of an array; its bytes follow the header, little-endian, in this order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(max_length=256)
    dtype: Literal["float32", "uint32"]
    shape: tuple[Annotated[int, Field(ge=0, le=2**31)], ...] = Field(max_length=8)

    @property
    def stored(self) -> np.dtype[Any]:
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.stored.itemsize


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(max_length=64)
    records: Mapping[str, Mapping[str, str]]
    arrays: tuple[_Array, ...] = Field(max_length=MOST_ARRAYS)
    flower_run: int = 0
    node: int = 0


def send(connection: socket.socket, envelope: Envelope) -> None:
    """Write a message.

    Raises:
        WireError: An array is of a type that does not travel.
        OSError: The other end is gone.
    """
    header = _Header.model_construct(
        kind=envelope.kind,
        records=envelope.records,
        arrays=tuple(_described(name, array) for name, array in envelope.arrays.items()),
        flower_run=envelope.flower_run,
        node=envelope.node,
    )
    text = header.model_dump_json().encode()
    connection.sendall(_LENGTH.pack(len(text)) + text)
    for array in envelope.arrays.values():
        stored = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
        connection.sendall(stored.reshape(-1).view(np.uint8).data)


def receive(connection: socket.socket) -> Envelope:
    """Read a message.

    Raises:
        WireError: It is none, or too large.
    """
    header = _header(connection)
    if sum(array.nbytes for array in header.arrays) > LARGEST_ARRAYS:
        raise WireError("the arrays are too large")
    arrays = {array.name: _read_array(connection, array) for array in header.arrays}
    return Envelope(header.kind, header.records, arrays, header.flower_run, header.node)


def ask(path: str | Path, envelope: Envelope, is_over: Callable[[], bool] | None = None) -> Envelope:
    """Send a message to the steward at a socket and return its answer, however long that takes.

    The message lets go of its arrays as soon as they are sent.

    Args:
        path: The socket.
        envelope: The message.
        is_over: Whether nobody waits for the answer any more; asked now and then. The steward sees that we are gone.

    Raises:
        OSError: No steward listens there.
        WireError: Its answer is none, or nobody waits for it.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        send(connection, envelope)
        envelope.let_go()
        while is_over is not None and not select.select([connection], [], [], LOOK_S)[0]:
            if is_over():
                raise WireError("nobody waits for the answer any more")
        return receive(connection)


def _described(name: str, array: NDArray[Any]) -> _Array:
    try:
        return _Array(name=name, dtype=array.dtype.name, shape=array.shape)
    except ValueError as error:
        raise WireError(f"{array.dtype.name} does not travel") from error


def _header(connection: socket.socket) -> _Header:
    (length,) = _LENGTH.unpack(_read(connection, _LENGTH.size))
    if length > LONGEST_HEADER:
        raise WireError("the header is too long")
    try:
        header = _Header.model_validate(json.loads(_read(connection, length)))
    except ValueError as error:
        raise WireError("the header cannot be read") from error
    keys = {key for texts in header.records.values() for key in texts}
    if not set(header.records) <= set(RECORDS) or not keys <= set(KEYS):
        raise WireError("the header names what the contract does not")
    return header


def _read_array(connection: socket.socket, described: _Array) -> NDArray[Any]:
    array = np.empty(described.shape, described.stored)
    _read_into(connection, array.reshape(-1).view(np.uint8).data)
    return array.astype(described.dtype, copy=False)


def _read(connection: socket.socket, length: int) -> bytes:
    content = bytearray(length)
    _read_into(connection, memoryview(content))
    return bytes(content)


def _read_into(connection: socket.socket, place: memoryview) -> None:
    while place:
        count = connection.recv_into(place)
        if not count:
            raise WireError("the other end is gone")
        place = place[count:]
