"""Images as inputs of a net: how pixels become numbers, and folders of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, MachineError
from serverquant.proto.io import ARRAY_FAULTS


@dataclass(frozen=True)
class ImageRule:
    """How pixels (0 to 255) become an input: (pixel * scale - mean) / std, by channel.

    size: (height, width) to resize to; None keeps the image's. layout: NCHW or NHWC. color: rgb, bgr or gray.
    mean, std: one value, or one for each channel.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 1.0
    layout: str = "NCHW"
    color: str = "rgb"

    def read(self, path: Path) -> np.ndarray:
        """float32 [1, C, H, W] or [1, H, W, C]. ArgumentError for what is no image."""
        try:
            from PIL import Image, UnidentifiedImageError
        except ImportError as error:
            raise MachineError("reading images needs pillow: pip install 'serverquant[cli]'") from error
        try:
            with Image.open(path) as opened:
                image = opened.convert("L" if self.color == "gray" else "RGB")
        except UnidentifiedImageError as error:
            raise ArgumentError(f"{path} is not an image that pillow reads, nor .npy, .npz or .json") from error
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise ArgumentError(f"{path} is a damaged image: {error}") from error
        if self.size:
            image = image.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, np.float32).reshape(image.height, image.width, -1)
        if self.color == "bgr":
            pixels = pixels[:, :, ::-1]
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, pixels.shape[2]):
                raise ArgumentError(f"{name} has {len(values)} values for {pixels.shape[2]} channels")
        pixels = (pixels * np.float32(self.scale) - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1) if self.layout == "NCHW" else pixels)[None]


class Images(Sequence[np.ndarray]):
    """The images of a folder in the order of their names, each read when it is asked for. A slice is a batch.

    folder: of image files, and .npy files of what an image would give; names that begin with a dot are passed over.
    """

    def __init__(self, folder: str | os.PathLike[str], rule: ImageRule | None = None):
        self.folder, self.rule = Path(folder), rule or ImageRule()
        found = (p for p in self.folder.iterdir() if p.is_file() and not p.name.startswith("."))
        self.files = sorted(found)
        if not self.files:
            raise ArgumentError(f"{folder} has no files")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return self._read(self.files[index])
        files = self.files[index]
        parts = [self._read(file) for file in files]
        if len({part.shape for part in parts}) > 1:
            named = ", ".join(f"{file.name} {part.shape}" for file, part in list(zip(files, parts))[:3])
            raise ArgumentError(f"the images of {self.folder} have different shapes ({named}); give a size")
        return np.concatenate(parts)

    def _read(self, path: Path) -> np.ndarray:
        return read_npy(path) if path.suffix == ".npy" else self.rule.read(path)


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file; ArgumentError when it is none."""
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except ARRAY_FAULTS as error:
        raise ArgumentError(f"{path} is not an .npy file of numbers: {error}") from error


def images(
    folder: str | os.PathLike[str],
    size: int | tuple[int, int] | None = None,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    scale: float = 1.0,
    layout: str = "NCHW",
    color: str = "rgb",
) -> Images:
    """A folder of images as data for `quantize`, `calibrate` and `compare`: (pixel * scale - mean) / std, see
    ImageRule.

        serverquant.quantize(init, predict, serverquant.images("photos", 224, scale=1 / 255, mean=..., std=...))
    """
    for name, value, known in (("layout", layout, ("NCHW", "NHWC")), ("color", color, ("rgb", "bgr", "gray"))):
        if value not in known:
            raise ArgumentError(f"{name} is {value!r}; it must be one of {', '.join(known)}")
    both = (size, size) if isinstance(size, int) else size
    return Images(folder, ImageRule(both, _tuple(mean), _tuple(std), scale, layout, color))


def _tuple(values: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(map(float, values)) if isinstance(values, Sequence) else (float(values),)
