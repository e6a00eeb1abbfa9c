from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ray_matdesign.agents.sandbox.exchange import BadExchange, read_values, write_values

MOST = 2**20
ARRAYS = hnp.arrays(
    hnp.boolean_dtypes()
    | hnp.integer_dtypes()
    | hnp.floating_dtypes()
    | hnp.unicode_string_dtypes(),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@given(array=ARRAYS, number=st.floats(allow_nan=False), text=st.text())
def test_values_come_back_as_they_were(array: np.ndarray, number: float, text: str) -> None:
    files = write_values("inputs", {"array": array, "number": number, "text": text})
    back = read_values("inputs", files, most_bytes=MOST)
    assert (back["number"], back["text"]) == (number, text)
    assert back["array"].dtype == array.dtype
    np.testing.assert_array_equal(back["array"], array)


@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(content: bytes) -> None:
    for name in ("result.json", "result.npz"):
        try:
            read = read_values("result", {name: content}, most_bytes=MOST)
        except BadExchange:
            continue
        assert isinstance(read, dict)


@given(at=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_damaged_archive_is_refused_or_read(at: int, byte: int) -> None:
    content = bytearray(write_values("r", {"a": np.arange(5.0), "b": np.array(["x"])})["r.npz"])
    content[at % len(content)] = byte
    try:
        read_values("r", {"r.npz": bytes(content)}, most_bytes=MOST)
    except BadExchange:
        return


def test_objects_go_neither_in_nor_out() -> None:
    with pytest.raises(BadExchange, match="array of objects"):
        write_values("inputs", {"a": np.array([{}], dtype=object)})
    packed = io.BytesIO()
    np.savez(packed, a=np.array([{}], dtype=object))
    with pytest.raises(BadExchange, match="array of objects"):
        read_values("result", {"result.npz": packed.getvalue()}, most_bytes=MOST)


@pytest.mark.parametrize("text", [b"[" * 100000, b"[1]", b"{", b"\xff", b'{"a": 1' + b"0" * 5000])
def test_json_of_another_form_is_refused(text: bytes) -> None:
    with pytest.raises(BadExchange, match=r"result\.json"):
        read_values("result", {"result.json": text}, most_bytes=MOST)


def test_nothing_larger_than_allowed_is_unpacked() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(20 * MOST))
    assert len(packed.getvalue()) < MOST
    with pytest.raises(BadExchange, match="unpacks to more"):
        read_values("result", {"result.npz": packed.getvalue()}, most_bytes=MOST)


def test_a_shape_that_its_data_do_not_fill_is_refused() -> None:
    member = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
    np.lib.format.write_array_header_1_0(member, header)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.npy", member.getvalue() + bytes(8))
    with pytest.raises(BadExchange, match="does not fit its size"):
        read_values("result", {"result.npz": packed.getvalue()}, most_bytes=MOST)


def test_values_that_are_not_json_are_refused() -> None:
    with pytest.raises(BadExchange, match=r"inputs\.json"):
        write_values("inputs", {"a": object()})
    assert json.loads(write_values("inputs", {"a": [1]})["inputs.json"]) == {"a": [1]}
