# tests/apple/test_kernels.py -- kernels run by themselves, with what no array of Python brings them
"""What only the C++ interface asks for, or only an array that is too large to sort here."""

import functools
import os
import pathlib
import re

import emu
import numpy as np
import pytest
from devices import generator

ROOT = pathlib.Path(__file__).resolve().parents[2]
METAL = pathlib.Path(os.environ.get("NHWC_MUTATION_METAL") or ROOT / "metal")
TYPES = {"u8": np.uint8, "u32": np.uint32, "u64": np.uint64, "i8": np.int8, "i16": np.int16, "i64": np.int64}
SORT_U32 = {0: np.int32(3), 1: np.int32(3), **{i: np.bool_(False) for i in (2, 3, 4, 5)}}  # type::u32


@functools.cache
def library(topic, *kernels):
    return emu.Library(METAL / f"{topic}.metal", include=[METAL, ROOT], kernels=list(kernels))


def words(*numbers, more=0):
    """A struct of 64-bit numbers, and `more` that are 0."""
    return np.array([*numbers, *[0] * more], np.int64)


def halves(*numbers):
    """32-bit members of a struct as 64-bit words."""
    return np.array(numbers, np.int32).view(np.int64).tolist()


@pytest.mark.parametrize("name", TYPES)
def test_relu_of_integers(name):
    dtype = TYPES[name]
    info = np.iinfo(dtype)
    x = np.array([info.min, info.max, *range(-7 if info.min else 0, 9)], dtype)
    listed = (ROOT / "csrc/include/nhwc/kinds.inc").read_text()
    kinds = re.findall(r"NHWC_UNARY\((\w+)\)", listed[listed.index("#ifdef") :])
    params = words(x.size, *halves(1, 0), x.size, more=9 + 40 + 4)
    for kind, high in (("relu", info.max), ("relu6", 6)):
        y = np.zeros_like(x)
        constants = dict(enumerate([np.int32(kinds.index(kind)), np.bool_(False), np.bool_(False), *[np.int32(1)] * 3]))
        library("elementwise", f"unary_{name}").run(
            f"unary_{name}", [x, y, params], grid=(x.size, 1, 1), threads=(32, 1, 1), constants=constants
        )
        np.testing.assert_array_equal(y, np.clip(x, 0, high))


def bits(keys, size):
    """`size` bytes of each key."""
    pairs, y = -(-size // 8), np.full((len(keys), size), 0xA5, np.uint8)
    odd = -(-size // 4) % 2
    params = words(len(keys), size, pairs - odd, *halves(odd, 1), 0, keys.size, 1, more=2 * 39)
    library("random", "random_bits").run(
        "random_bits", [keys, y, params], grid=(len(keys) * pairs, 1, 1), threads=(32, 1, 1),
        constants={0: np.bool_(size % 4 == 0), 1: np.bool_(False)},
    )  # fmt: skip
    return y


@pytest.mark.parametrize("size", [1, 2, 3, 6, 13, 15])
def test_random_bits_that_end_within_a_word(size):
    keys = generator("keys", size).integers(0, 2**32, (3, 2), np.uint32)
    np.testing.assert_array_equal(bits(keys, size), bits(keys, -(-size // 4) * 4)[:, :size])


@pytest.mark.parametrize("known", [7, 9])
def test_places_are_counted_by_their_highest_digit(known):
    """Of an array of more than 2^24 elements; any has places whose highest digit is 0."""
    x = generator("count").integers(6, 9, 1000, np.uint32)
    cut, counts = np.array([known, 0], np.int64), np.zeros(256, np.uint32)
    params = words(1, x.size, 0, 0, 0, 1, 1, 1, *halves(1024, 1, 24, 1, 0, 0), 1, 0, 0, more=3 * 39)
    library("sort", "sort_count_u32").run(
        "sort_count_u32", [x, cut, counts, params], groups=(2, 1, 1), threads=(256, 1, 1),
        constants=SORT_U32,
    )  # fmt: skip
    assert counts[0] == np.sum(x == known)
    assert not counts[1:].any()


def test_the_digit_of_a_rank_is_found_and_only_its_counts_are_cleared():
    counts = np.full(260, 3, np.uint32)
    counts[5:9] = 0
    rank = 3 * 10 + 1  # of the elements of digit 14 the second
    cut = np.array([1 << 40, *halves(2, rank)], np.int64)
    params = words(*[0] * 8, *halves(1024, 1, 16, 0, 0, 0), more=3 * 40)
    library("sort", "sort_digit").run(
        "sort_digit", [cut, counts, params], threads=(1, 1, 1),
        constants=SORT_U32,
    )  # fmt: skip
    assert cut.tolist() == [1 << 40 | 14 << 16, *halves(2, 1)]
    assert not counts[:256].any()
    assert (counts[256:] == 3).all()


@pytest.mark.parametrize("last", [False, True])
def test_a_part_has_what_lies_between_two_cuts(last):
    x = generator("part").integers(6, 10, 1000, np.uint32)
    cuts = np.array([7, *halves(300, 0), 8, *halves(500, 0)], np.int64)
    place = np.arange(x.size)
    want = (x > 7) | ((x == 7) & (place >= 300))
    if not last:
        want &= (x < 8) | ((x == 8) & (place < 500))
    filled, keys, places = np.zeros(1, np.uint32), *np.zeros((2, want.sum()), np.uint32)
    params = words(1, x.size, 0, 0, 0, 1, 1, 1, *halves(1024, 1, 0, 0, last, 0), 1, 0, 0, more=3 * 39)
    library("sort", "sort_part_u32").run(
        "sort_part_u32", [x, cuts, filled, keys, places, params], groups=(2, 1, 1), threads=(256, 1, 1),
        constants=SORT_U32,
    )  # fmt: skip
    assert filled[0] == want.sum()
    np.testing.assert_array_equal(np.sort(places), place[want])
    np.testing.assert_array_equal(keys, x[places])


@pytest.mark.parametrize("lanes", [1, 4, 32, 256])
def test_lanes_beyond_the_last_output_write_nothing(lanes):
    x = generator("beyond", lanes).integers(-9, 9, (5, 40)).astype(np.float32)
    y = np.full(7, -99, np.float32)
    params = words(0, 5, 40, 40, *halves(1, 1), 5, 40, 40, 1, more=2 * 38)
    constants = [
        np.int32(0),
        np.int32(11),
        np.int32(11),
        np.bool_(False),
        np.bool_(False),
        np.int32(lanes),
        np.bool_(False),
    ]
    library("reduce", "reduce_rows_f32").run(
        "reduce_rows_f32", [x, y, params], groups=(-(-5 * lanes // 256), 1, 1), threads=(256, 1, 1),
        constants=dict(enumerate(constants)),
    )  # fmt: skip
    np.testing.assert_array_equal(y, [*x.sum(1), -99, -99])
