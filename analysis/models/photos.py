"""Photos from installed packages, and the crops of them that image classifiers are measured on.

Of foolbox (20 photos of ImageNet, with their classes), scikit-image, scikit-learn, matplotlib and
imgaug, which state the MIT or BSD licences for themselves. From scikit-image these are the photos
of everyday things: not those of microscopes and telescopes, drawings, and the second of a pair.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models.layers import Array
from analysis.models.packages import PackageFile, optional

FOOLBOX = {  # imagenet_NUMBER_CLASS
    "imagenet_00_243.jpg": "28b7b933c8028c6e20bf74a86a709eda42ce99f14c8742cb657cb386f08a4c9d",
    "imagenet_01_559.jpg": "5f03b0c74dff01b5b4195d0beabcae2a625a406e6917957ab9c455b5b7dea6d6",
    "imagenet_02_438.jpg": "ccef0734c1a65549c6cb5adb0f5d9b1c0b2e2104aba50a9e5f9202dc6d4532ed",
    "imagenet_03_990.jpg": "c7f0b2f1e9ee39d8f900759e8983afa2e4a2d7de090060e8bb947f6e90cace5f",
    "imagenet_04_949.jpg": "a7f62f3c1d214de4718c7253871ab38209283249e131faf65b8f2b7fdc970669",
    "imagenet_05_853.jpg": "8a449436c61da867528b1f4efaf8ae832ab9c9201705eae0d3af1353fbdac131",
    "imagenet_06_609.jpg": "fb061102a4e58b3ed942bb2a4f9542e1e1acdc8f225ef95498e93889290e192f",
    "imagenet_07_609.jpg": "2c297ad1e5c4804a647e9b34bc02ee2fc348b05a4d49050d170fb61c948efa5c",
    "imagenet_08_915.jpg": "c6a3411a3987799f0de45adc142f00ca412c3e14073c635e2adfae1f3913180c",
    "imagenet_09_455.jpg": "ace3716b60ac5843269b270e17020e4f8138440cd30ef3487f7d6e54da9745a4",
    "imagenet_10_541.jpg": "f325c71d9f4290ee45e99bd7ad42f4bffe513b1450ad21e7bd61c7cb137395d9",
    "imagenet_11_630.jpg": "892dff58fc528fe63d2df0c783aa3eca2342637798578ce01763fbc0553eda01",
    "imagenet_12_741.jpg": "6c256e17545b25bbf2e06cf6513ff48d049583569515ac4d4c3a52aea804a529",
    "imagenet_13_471.jpg": "52ed0e738b90d27afcabc3e92c81ae637f160c2d9f75b93a65211005ab5dcd81",
    "imagenet_14_129.jpg": "ad9371d813bf24b0365ee2f78f28c08718ee7c5975f060caa16c3f264e828139",
    "imagenet_15_99.jpg": "4b588649cd835d4c65521727ebee03d9621baff1f54d3e8a53a26b53d983ec2e",
    "imagenet_16_251.jpg": "ce3440a3b7beb6ca3009817504c44d39fa789e7c2f70a2eef7e2f9cc9a87b129",
    "imagenet_17_22.jpg": "b432341845620e9cfd67d848c4783c32dd6eaddad45513866b17180d2b09fcf5",
    "imagenet_18_317.jpg": "b9412f92f0b1c3faede45b55a44940977daa744f2040118d0538cf597fca785d",
    "imagenet_19_305.jpg": "e1f58f00e2e47ce930d7ecab0e46a78316054f68c10d0742e87c1cc092324556",
}
SKIMAGE = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "clock_motion.png": "f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
    "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}
SKLEARN = {
    "china.jpg": "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
    "flower.jpg": "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
}
HOPPER = PackageFile(
    "matplotlib",
    "3.11.2",
    "matplotlib",
    "mpl-data/sample_data/grace_hopper.jpg",
    "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
)
QUOKKA = PackageFile(
    "imgaug",
    "0.4.0",
    "imgaug",
    "quokka.jpg",
    "bf1059d0f925e7d0c712cadf07a04ba4cfc98957d7be65d3a7d8ae0c464cd76e",
)
FILES = (
    *(PackageFile("foolbox", "3.3.4", "foolbox", f"data/{n}", d) for n, d in FOOLBOX.items()),
    *(PackageFile("scikit-image", "0.26.0", "skimage", f"data/{n}", d) for n, d in SKIMAGE.items()),
    *(
        PackageFile("scikit-learn", "1.9.1", "sklearn", f"datasets/images/{n}", d)
        for n, d in SKLEARN.items()
    ),
    HOPPER,
    QUOKKA,
)
SIDE = 224  # pixels of a side of a crop
NEAR, FAR = 256, 320  # pixels that the shorter side of a photo is brought to
CROPS = 6  # of a photo; the first is the usual one
MOST = 100_000_000  # pixels of an image that is read

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Photo:
    """A photo. Its crops are one item of a measurement, since they are alike.

    Attributes
    ----------
    name : str
        Package and file.
    file : PackageFile
    """

    name: str
    file: PackageFile

    @property
    def label(self) -> int | None:
        """The number of its class; None if the package names none."""
        _, _, number = self.file.path.removesuffix(".jpg").partition("/imagenet_")
        return int(number.partition("_")[2]) if number else None

    def crops(self) -> Pixels:
        """Return the crops; see `crops_of`.

        Returns
        -------
        ndarray of uint8, (`CROPS`, `SIDE`, `SIDE`, 3)

        Raises
        ------
        MissingPackage
            If the package or Pillow is not installed.
        """
        return crops_of(self.file.find())


def photos() -> list[Photo]:
    """Return the photos on which classifiers are measured.

    Returns
    -------
    list of Photo
        35 different ones.
    """
    return [Photo(f"{file.package} {Path(file.path).name}", file) for file in FILES]


def crops_of(path: Path) -> Pixels:
    """Return squares of an image: its middle, the middle mirrored, and its four corners.

    Parameters
    ----------
    path : Path
        As `read_image` takes it.

    Returns
    -------
    ndarray of uint8, (`CROPS`, `SIDE`, `SIDE`, 3)
        The middle after the shorter side was brought to `NEAR` pixels, by bicubic interpolation;
        the corners after it was brought to `FAR`: top left, top right, bottom left, bottom right.

    Raises
    ------
    ValueError, OSError, MissingPackage
        As `read_image`.
    """
    image = read_image(path)
    near, far = _resized(image, NEAR), _resized(image, FAR)
    top, left = ((length - SIDE) // 2 for length in near.shape[:2])
    middle = near[top : top + SIDE, left : left + SIDE]
    ends = slice(None, SIDE), slice(-SIDE, None)
    return np.stack([middle, middle[:, ::-1], *(far[i, j] for i in ends for j in ends)])


def middle_of(path: Path) -> Pixels:
    """Return the first of the crops of an image, (`SIDE`, `SIDE`, 3); see `crops_of`."""
    middle: Pixels = crops_of(path)[0]
    return middle


def read_image(path: Path) -> Any:
    """Return an image file as Pillow's image of red, green and blue.

    Parameters
    ----------
    path : Path
        PNG, JPEG, or another kind that Pillow reads, of at most `MOST` pixels and sides that are
        at most 20 times as long as each other. Gray becomes three equal channels; transparency is
        dropped.

    Returns
    -------
    PIL.Image.Image

    Raises
    ------
    ValueError
        If it is damaged, of an unknown kind, too large or too long.
    OSError
        If it cannot be read.
    MissingPackage
        If Pillow is not installed.
    """
    pillow = optional("PIL.Image")
    path.open("rb").close()  # its own error for a file that cannot be read
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images, which are refused here
            with pillow.open(path) as image:
                width, height = image.size
                if width * height <= MOST and max(width, height) <= 20 * min(width, height):
                    return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, pillow.DecompressionBombError) as error:
        raise ValueError(f"image must be a PNG or JPEG file, got {path}: {error}") from error
    raise ValueError(
        f"image must have at most {MOST} pixels and sides of at most 1 : 20, "
        f"got {width} x {height}: {path}"
    )


def as_input(pixels: Pixels) -> Array:
    """Return pixels p as (p - 127) / 128, which is what EfficientNet-Lite was trained on.

    Examples
    --------
    >>> as_input(np.array([0, 127, 255], np.uint8))
    array([-0.9921875,  0.       ,  1.       ], dtype=float32)
    """
    inputs: Array = (pixels.astype(np.float32) - 127) / np.float32(128)
    return inputs


def _resized(image: Any, shorter: int) -> Pixels:
    factor = shorter / min(image.size)
    size = [max(shorter, round(length * factor)) for length in image.size]
    bicubic = optional("PIL.Image").Resampling.BICUBIC
    return np.asarray(image.resize(size, bicubic))
