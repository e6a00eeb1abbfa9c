import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.crystals.codec import CodecError, decode_crystals, encode_crystals
from tests.crystals.examples import crystals, perovskite, rock_salt


@settings(max_examples=60, deadline=None)
@given(st.lists(crystals(), max_size=5))
def test_round_trip_is_exact(batch):
    decoded = decode_crystals(encode_crystals(batch))
    assert len(decoded) == len(batch)
    for before, after in zip(batch, decoded, strict=True):
        assert np.array_equal(before.lattice, after.lattice)
        assert np.array_equal(before.frac_coords, after.frac_coords)
        assert np.array_equal(before.numbers, after.numbers)


def test_size_is_that_of_the_arrays():
    assert len(encode_crystals([perovskite()])) == 16 + 4 + 72 + 5 * 25


@pytest.mark.parametrize("cut", [0, 3, 15, 16, 30, -1])
def test_truncated_bytes_are_refused(cut):
    data = encode_crystals([rock_salt(), perovskite()])
    with pytest.raises(CodecError):
        decode_crystals(data[:cut])


def test_foreign_newer_and_damaged_bytes_are_named():
    data = encode_crystals([rock_salt()])
    with pytest.raises(CodecError, match="not encoded crystals"):
        decode_crystals(b"\x80\x04 a pickle of something else")
    with pytest.raises(CodecError, match="version 9"):
        decode_crystals(data[:4] + struct.pack("<H", 9) + data[6:])
    with pytest.raises(CodecError, match="checksum"):
        decode_crystals(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CodecError, match="overlong"):
        decode_crystals(data + b"x")
