"""Our PNGs decode to the pixels they were made of, and packed pixels come back as they were."""

from __future__ import annotations

import io
import threading
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mineru_pipeline.parsing.layer import TextLayer, Word
from mineru_pipeline.parsing.pictures import (
    Pixels,
    coloured_rows,
    encode_png,
    is_grey,
    is_layout_picture,
    pack,
    unpack,
)
from mineru_pipeline.parsing.pixels import PackedPixels, Scratch
from mineru_pipeline.parsing.resizing import layout_pixels

shapes = st.tuples(st.integers(1, 60), st.integers(1, 60))


def noise(shape: tuple[int, ...], seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@given(shapes, st.integers(0, 2**32), st.sampled_from(["grey", "colour", "one channel"]))
@settings(deadline=None)
def test_a_png_decodes_to_the_pixels(shape: tuple[int, int], seed: int, kind: str) -> None:
    """Whatever the size, for a reader that checks every checksum."""
    pixels = noise((*shape, 3) if kind == "colour" else shape, seed)
    shown = pixels if kind == "colour" else np.repeat(pixels[..., None], 3, axis=2)
    image = Image.open(io.BytesIO(encode_png(shown if kind == "grey" else pixels)))
    image.verify()
    image = Image.open(io.BytesIO(encode_png(shown if kind == "grey" else pixels)))
    assert image.convert("RGB").tobytes() == shown.tobytes()


@pytest.mark.parametrize("shape", [(3000, 97), (2, 50_000), (1500, 300, 3), (3, 70_000, 3)])
def test_pictures_of_many_stripes_are_whole(shape: tuple[int, ...]) -> None:
    """Rows are compressed in portions; where they join, nothing is lost, even if a row is longer than a portion."""
    pixels = noise(shape, 1)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(pixels)))), pixels)


def test_a_part_of_a_page_is_encoded_without_the_rest() -> None:
    """Crops are views into the page."""
    pixels = noise((100, 80, 3), 2)
    part = pixels[10:50, 20:70]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(part)))), part)


@given(st.integers(1, 40), st.integers(1, 40), st.data())
@settings(deadline=None)
def test_one_coloured_pixel_is_seen(height: int, width: int, data: st.DataObject) -> None:
    """Grey means all three channels are equal in every single pixel."""
    pixels = np.repeat(noise((height, width, 1), 3), 3, axis=2)
    assert is_grey(pixels)
    place = data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1), st.integers(0, 2)))
    pixels[place] ^= 1
    assert not is_grey(pixels)
    assert coloured_rows(pixels).nonzero()[0].tolist() == [place[0]]


def test_a_layout_picture_is_told_from_anything_else() -> None:
    """What a render child answers is believed only this far."""
    image = Image.new("RGB", (30, 40), "red")
    assert is_layout_picture(encode_png(layout_pixels(np.asarray(image))))
    assert not is_layout_picture(encode_png(np.asarray(image)))
    assert not is_layout_picture(b"")


@given(st.integers(0, 400_000))
@settings(deadline=None, max_examples=20)
def test_packed_pixels_come_back(size: int) -> None:
    """Of any length, none at all among them."""
    data, memory = noise((size,), size), bytearray(size)
    unpack(pack(data), memoryview(memory))
    assert memory == data.tobytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-1],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: b"",
        lambda packed: b"not packed at all",
        lambda packed: packed + b"\0",
        lambda packed: pack(np.zeros(1001, np.uint8)),
        lambda packed: pack(np.zeros(999, np.uint8)),
        lambda packed: pack(np.zeros(50 << 20, np.uint8)),
    ],
    ids=["cut", "half", "empty", "garbage", "more behind it", "too long", "too short", "a bomb"],
)
def test_damaged_pixels_are_refused(damage: Any) -> None:
    """Nothing but what was announced is taken, and no more memory than for that."""
    packed = pack(np.zeros(1000, np.uint8))
    with pytest.raises(ValueError, match="packed pixels"):
        unpack(damage(packed), memoryview(bytearray(1000)))


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3)])
def test_a_page_is_packed_with_its_shape(shape: tuple[int, ...]) -> None:
    """Size and channels are part of what is kept."""
    pixels = noise(shape, 4)
    packed = PackedPixels.of(pixels)
    assert (packed.height, packed.width, packed.unpacked_size) == (7, 9, pixels.size)
    with packed.unpacked() as unpacked:
        assert np.array_equal(unpacked, pixels)


@pytest.mark.parametrize("values", [(0, 1, 1), (1, -1, 3), (1, 1, 2)])
def test_impossible_shapes_are_refused(values: tuple[int, int, int]) -> None:
    """They can only come from a child that was taken over."""
    with pytest.raises(ValueError, match="no picture"):
        PackedPixels(*values, b"")


def test_buffers_are_used_again_and_never_by_two_at_once() -> None:
    """The second borrower gets the first one's memory, but a simultaneous one memory of its own."""
    scratch = Scratch(buffers=2)
    with scratch.lent(10) as first, scratch.lent(10) as second:
        first[:], second[:] = b"a" * 10, b"b" * 10
        assert bytes(first) == b"a" * 10
    with scratch.lent(5) as again:
        assert bytes(again) in {b"a" * 5, b"b" * 5}


def test_a_borrower_too_many_waits() -> None:
    """The number of buffers is a promise about memory."""
    scratch, order = Scratch(buffers=1), []

    def borrow() -> None:
        with scratch.lent(1):
            order.append("second")

    with scratch.lent(1):
        thread = threading.Thread(target=borrow)
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_failed_borrower_gives_its_place_back() -> None:
    """An error in one page must not stop all others."""
    scratch = Scratch(buffers=1)
    with pytest.raises(RuntimeError), scratch.lent(1):
        raise RuntimeError
    with scratch.lent(1):
        pass


def test_words_survive_packing() -> None:
    """Texts of any script and their boxes, exactly."""
    words = (
        Word("naïve", 0.1, 0.12345, 0.3, 0.4),
        Word("文", 0.0, 0.0, 1.0, 1.0),
        Word('"\\', 0.5, 0.5, 0.6, 0.6),
        Word("\ud800", 0.0, 0.1, 0.2, 0.3),
    )
    layer = TextLayer.of(words)
    assert (layer.count, layer.words()) == (4, words)
    assert TextLayer.of(()).words() == TextLayer().words() == ()


@pytest.mark.parametrize(
    "packed", [b"", b"garbage", zlib.compress(b"[1]"), zlib.compress(b"[["), zlib.compress(b'[["a","b"]]')]
)
def test_damaged_words_are_refused(packed: bytes) -> None:
    """Nothing that a taken-over child makes up is mistaken for words, or raises what nobody expects."""
    with pytest.raises(ValueError, match=r"\w"):
        TextLayer(1, packed).words()
