"""Photos and their crops, and image files that are damaged, odd or large."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from analysis.models.packages import MissingPackage
from analysis.models.photos import CROPS, SIDE, as_input, crops_of, middle_of, photos, read_image

Image = pytest.importorskip("PIL.Image")


def saved(pixels: np.ndarray, path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_crops_are_the_middle_its_mirror_and_the_corners(tmp_path: Path) -> None:
    """On an image of four colors, each in a quarter, wider than high."""
    colors = np.array([[[200, 0, 0], [0, 200, 0]], [[0, 0, 200], [90, 90, 90]]], np.uint8)
    path = saved(colors.repeat(640, 0).repeat(960, 1), tmp_path / "m.png")
    middle, mirrored, *corners = crops_of(path)
    half = SIDE // 2
    for crop, wanted in ((middle, colors), (mirrored, colors[:, ::-1])):
        for i, j in np.ndindex(2, 2):
            quarter = crop[i * half : (i + 1) * half, j * half : (j + 1) * half]
            assert (quarter[2:-2, 2:-2] == wanted[i, j]).all()
    for corner, color in zip(corners, colors.reshape(4, 3), strict=True):
        assert np.mean((corner == color).all(axis=2)) > 0.48  # 160 of 224 rows, all columns
        assert corner.shape == middle.shape == (SIDE, SIDE, 3)
    assert (middle_of(path) == middle).all()


@pytest.mark.parametrize("sides", [(1, 1), (1, 20), (500, 30), (256, 256), (1000, 999)])
def test_images_of_all_sizes_have_crops(tmp_path: Path, sides: tuple[int, int]) -> None:
    pixels = np.full((*sides, 3), 7, np.uint8)
    crops = crops_of(saved(pixels, tmp_path / "m.png"))
    assert crops.shape == (CROPS, SIDE, SIDE, 3)
    assert (crops == 7).all()


@pytest.mark.parametrize("kind", ["L", "1", "P", "RGBA", "LA", "I;16", "CMYK"])
def test_all_kinds_of_colors_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("m.jpg" if kind == "CMYK" else "m.png")
    Image.new(kind, (300, 260)).save(path)
    assert crops_of(path).shape == (CROPS, SIDE, SIDE, 3)


def test_pixels_are_centered() -> None:
    assert as_input(np.array([[0, 127, 255]], np.uint8)).tolist() == [[-127 / 128, 0, 1]]


def png(width: int, height: int) -> bytes:
    """Return a PNG file whose header says a size, and that has no pixels."""
    content = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data
        content += struct.pack(">I", zlib.crc32(kind + data))
    return content


def test_files_that_are_no_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    whole = saved(np.zeros((40, 40, 3), np.uint8), path).read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:30], png(10, 10), png(0, 10)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"^image must be a PNG or JPEG file, got .*m\.png"):
            read_image(path)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((65_535, 65_535), "exceeds limit"),  # of Pillow's own
        ((12_000, 10_000), "at most 100000000 pixels .*got 12000 x 10000"),
        ((2100, 100), "sides of at most 1 : 20"),
        ((1, 21), "sides of at most 1 : 20"),
    ],
)
def test_large_and_long_images_are_refused_unread(
    tmp_path: Path, size: tuple[int, int], reason: str
) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(png(*size))
    with pytest.raises(ValueError, match=f"image must.*{reason}"):
        read_image(path)


def test_files_that_cannot_be_read_have_their_own_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError):
        read_image(tmp_path)


def test_the_photos_are_different() -> None:
    found = photos()
    assert len(found) * CROPS >= 200
    assert len({photo.name for photo in found}) == len({p.file.sha256 for p in found}) == len(found)
    labels = [photo.label for photo in found]
    assert [n is None for n in labels] == [False] * 20 + [True] * 15
    assert labels[:3] == [243, 559, 438]


def test_the_shipped_photos_are_read() -> None:
    try:
        crops = [photo.crops() for photo in photos()]
    except MissingPackage as error:
        pytest.skip(str(error))
    assert all(np.ptp(crop) > 50 for crop in crops)
