"""Masks: agreed by both sides, unlike for every purpose and session, and a stream of the cipher they name."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from hypothesis import given
from hypothesis import strategies as st

from fedpsma.secure_aggregation.masks import add_mask, agreed_key, mask_key, new_key, public_of
from fedpsma.secure_aggregation.messages import threshold
from fedpsma.secure_aggregation.sharing import combine, digest, split

CONTEXT = bytes(range(32))


def test_both_sides_agree_and_nothing_else_gives_the_same_key() -> None:
    (one, one_public), (two, two_public) = new_key(), new_key()
    key = mask_key(one, two_public, CONTEXT, ("A", "B"))
    assert key == mask_key(two, one_public, CONTEXT, ("B", "A"))
    others = {
        agreed_key(one, two_public, CONTEXT, "seal", ("A", "B")),
        mask_key(one, two_public, bytes(32), ("A", "B")),
        mask_key(one, two_public, CONTEXT, ("A", "C")),
        mask_key(one, new_key()[1], CONTEXT, ("A", "B")),
    }
    assert len(others | {key}) == 5
    assert {len(one) for one in others} == {32}
    assert public_of(one) == one_public


def test_a_public_key_without_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="shared"):
        mask_key(new_key()[0], bytes(32), CONTEXT, ("A", "B"))


@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 200_001])
def test_the_mask_is_the_stream_of_chacha20_and_cancels(size: int) -> None:
    vector = np.random.default_rng(size).integers(0, 2**32, size, np.uint32)
    masked = vector.copy()
    add_mask(masked, CONTEXT)
    stream = Cipher(algorithms.ChaCha20(CONTEXT, bytes(16)), mode=None).encryptor().update(bytes(4 * size))
    np.testing.assert_array_equal(masked - vector, np.frombuffer(stream, "<u4"))
    add_mask(masked, CONTEXT, negative=True)
    np.testing.assert_array_equal(masked, vector)


def test_every_bit_of_the_key_changes_the_mask() -> None:
    # A seed folded to 32 bits would give equal masks for some of these keys.
    masks = set()
    for bit in range(256):
        vector = np.zeros(8, np.uint32)
        add_mask(vector, (1 << bit).to_bytes(32, "big"))
        masks.add(vector.tobytes())
    folded = np.zeros(8, np.uint32)
    add_mask(folded, ((1 << 32) | 1).to_bytes(32, "big"))
    assert len(masks | {folded.tobytes()}) == 257


@given(secret=st.binary(min_size=32, max_size=32), sites=st.integers(3, 9), data=st.data())
def test_any_shares_up_to_the_threshold_give_the_secret_and_fewer_do_not(
    secret: bytes, sites: int, data: st.DataObject
) -> None:
    least = threshold(sites)
    shares = split(secret, least, sites)
    chosen = data.draw(st.permutations(sorted(shares)))
    assert combine({number: shares[number] for number in chosen[:least]}) == secret
    assert combine({number: shares[number] for number in chosen[: least - 1]}) != secret
    assert len({digest(share) for share in shares.values()}) == sites


@pytest.mark.parametrize("sites", range(3, 65))
def test_the_threshold_is_a_majority_so_that_no_two_halves_can_unmask_against_each_other(sites: int) -> None:
    helpers = (sites - 1) // 3
    assert 2 * threshold(sites) > sites + helpers
    assert 2 <= threshold(sites) <= sites
