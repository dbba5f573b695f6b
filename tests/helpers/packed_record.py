"""Weights in a message of Flower as coordinator and sites pack them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flwr.app import Array, ArrayRecord, Message
from numpy.typing import NDArray

from fedpsma.packing import FORMAT, PACKED, pack, unpack


def packed_record(arrays: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    """Return the record that carries some arrays."""
    return record_of(pack(arrays))


def record_of(content: bytes, name: str = PACKED) -> ArrayRecord:
    """Return a record that carries some bytes, whether they are arrays or not."""
    return ArrayRecord({name: Array("uint8", (len(content),), FORMAT, content)})


def arrays_in(message: Message) -> dict[str, NDArray[Any]]:
    """Return the weights in a message."""
    return {name: array.numpy() for name, array in unpack(message.content["weights"][PACKED].data).items()}
