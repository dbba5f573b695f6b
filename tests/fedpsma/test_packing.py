"""Arrays as one run of bytes, there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import save

from fedpsma.packing import PackingError, pack, unpack

ONE = st.sampled_from(["f2", "f4", "f8", "i4", "i8", "u4"]).flatmap(
    lambda kind: arrays.arrays(np.dtype(kind), arrays.array_shapes(min_dims=0, max_dims=4, max_side=4))
)


@given(st.dictionaries(st.text(max_size=12), ONE, max_size=5))
def test_arrays_come_back_bit_for_bit(sent: dict[str, np.ndarray]) -> None:
    found = unpack(pack(sent))
    assert found.keys() == sent.keys()
    for name, array in sent.items():
        back = found[name].numpy()
        assert (back.shape, back.dtype) == (array.shape, array.dtype)
        assert back.tobytes() == np.asarray(array, order="C").tobytes()


def test_an_array_in_another_order_of_memory_and_one_without_axes() -> None:
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    found = unpack(pack({"turned": turned, "number": np.array(2.5, np.float32)}))
    np.testing.assert_array_equal(found["turned"].numpy(), turned)
    assert found["number"].numpy().shape == ()


def test_what_is_unpacked_can_be_written_to() -> None:
    found = unpack(pack({"a": np.ones(3, np.float32)}))["a"].numpy()
    found += 1
    np.testing.assert_array_equal(found, 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no arrays at all",
        b"\xff" * 40,
        pack({"a": np.ones(3, np.float32)})[:-1],
        pack({"a": np.ones(3, np.float32)}) + b"0",
        save({"a": np.ones(3, np.uint8)}),
    ],
)
def test_bytes_that_are_no_arrays(content: bytes) -> None:
    with pytest.raises(PackingError):
        unpack(content)


def test_a_small_message_cannot_claim_a_huge_array() -> None:
    told = b'{"a":{"dtype":"F32","shape":[9999999999],"data_offsets":[0,39999999996]}}'
    with pytest.raises(PackingError):
        unpack(len(told).to_bytes(8, "little") + told)
