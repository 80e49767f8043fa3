"""The rules by which pixels of any kind become uint8, uint16 or float32."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snn2ann.errors import UserError

# What stands for 1.
MAXIMUM = {"bool": 1, "uint8": 255, "uint16": 65_535, "float32": 1}


def prepared_type(dtype: np.dtype[Any], low: float, high: float, name: str) -> tuple[str, int]:
    """The type that arrays are kept in, and the value that stands for 1.

    Truths and uint8 are kept as they are; so is uint16. Other whole numbers become uint8 where they lie from 0 to 255, else
    uint16 from 0 to 65,535. Floats become float32, whatever their range.

    Args:
        dtype: of the array.
        low: its least value.
        high: its greatest value.
        name: what messages call it.

    Raises:
        UserError: no such numbers, or not finite ones.
    """
    if dtype.kind == "b":
        return "uint8", MAXIMUM["bool"]
    if dtype.kind == "f":
        if not (np.isfinite(low) and np.isfinite(high)) or max(-low, high) > np.finfo(np.float32).max:
            raise UserError(f"{name}: holds values that are not finite, or too large for float32")
        return "float32", MAXIMUM["float32"]
    if dtype.kind not in "iu":
        raise UserError(f"{name}: {dtype} is not allowed; expected whole numbers or floats")
    if dtype == np.uint16 or (low >= 0 and 255 < high <= 65_535):
        return "uint16", MAXIMUM["uint16"]
    if low < 0 or high > 255:
        raise UserError(
            f"{name}: whole numbers from {low:.0f} to {high:.0f}; expected 0 to 255 or 0 to 65,535, else save them as floats"
        )
    return "uint8", MAXIMUM["uint8"]


def image_kind(image: Image.Image, name: str) -> tuple[bool, str]:
    """Whether an image has colour, and the type that its pixels are kept in.

    Raises:
        UserError: a mode that has no rule.
    """
    mode = image.mode
    if has_deep_colour(image):
        raw = _raw_mode(image)
        if raw[:-4] not in ("RGB", "RGBA", "RGBX") or raw[-4:] not in _OTHER_BYTE:
            raise UserError(
                f"{name}: 16 bits of {image.format} {mode} are not read whole; save it as PNG or TIFF in RGB, or as an array"
            )
        return True, "uint16"
    if mode in ("1", "L", "LA", "La"):
        return False, "uint8"
    if mode in ("I;16", "I;16L", "I;16B", "I;16N", "I"):
        return False, "uint16"
    if mode == "F":
        return False, "float32"
    if mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"):
        return True, "uint8"
    raise UserError(f"{name}: images of mode {mode} are not known; save it as PNG or JPEG")


def image_array(image: Image.Image, colour: bool, dtype: str, name: str) -> NDArray[Any]:
    """The pixels of an image, [C, H, W]; transparency is left out, as torchvision's loader does.

    Raises:
        UserError: values that the type cannot hold.
    """
    if has_deep_colour(image):
        return np.moveaxis(_deep_colour(image), 2, 0)
    if dtype == "uint8" and colour:
        return np.moveaxis(np.asarray(image.convert("RGB")), 2, 0)
    if dtype == "uint8":
        return np.asarray(image.convert("L"))[None]
    values = np.asarray(image)
    if dtype == "uint16" and not (values.min() >= 0 and values.max() <= 65_535):
        raise UserError(f"{name}: values from {values.min()} to {values.max()}; expected 0 to 65,535")
    if dtype == "float32" and not np.isfinite(values).all():
        raise UserError(f"{name}: holds values that are not finite")
    grey = values.astype(dtype)[None]
    return np.repeat(grey, 3, axis=0) if colour else grey


# Pillow has colours of 8 bits alone. Of a value of 16 it takes the higher byte; told that bytes stand in the other order,
# the lower one.
_OTHER_BYTE = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}


def has_deep_colour(image: Image.Image) -> bool:
    """Whether an image that is not decoded yet has 16 bits of each colour, of which Pillow would take 8."""
    if image.mode in ("I", "I;16", "I;16L", "I;16B", "I;16N", "F"):
        return False
    if image.format == "PPM" and _tiles(image) and isinstance(how := _tiles(image)[0][3], tuple):
        # A portable pixmap tells its largest value.
        return int(how[-1]) > 255
    return ";16" in _raw_mode(image)


def _tiles(image: Image.Image) -> list[Any]:
    """How the parts of an image are to be decoded; none once they are."""
    return getattr(image, "tile", None) or []


def _raw_mode(image: Image.Image) -> str:
    tiles = _tiles(image)
    how = tiles[0][3] if tiles else ""
    return str(how[0] if isinstance(how, tuple) and how else how or "")


def _deep_colour(image: Image.Image) -> NDArray[np.uint16]:
    """Decode an image of 16 bits of each colour, [H, W, 3]: once for the higher bytes and once for the lower ones."""
    with Image.open(image.filename, formats=[str(image.format)]) as again:  # type: ignore[attr-defined]
        again.tile = [each._replace(args=_told_otherwise(each.args)) for each in _tiles(again)]
        low = np.asarray(again.convert("RGB"), np.uint16)
    high: NDArray[np.uint16] = np.left_shift(np.asarray(image.convert("RGB"), np.uint16), np.uint16(8))
    return high | low


def _told_otherwise(how: Any) -> Any:
    raw = how[0] if isinstance(how, tuple) else how
    other = raw[:-4] + _OTHER_BYTE[raw[-4:]]
    return (other, *how[1:]) if isinstance(how, tuple) else other


def size_of(resize: int | Sequence[int]) -> tuple[int, int]:
    """Height and width that `resize` asks for."""
    height, width = (resize, resize) if isinstance(resize, int) else resize
    return height, width


def resized(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """An image [C, H, W] stretched to (height, width): bilinear, averaged where it shrinks, in its own type."""
    if pixels.shape[1:] == size:
        return pixels
    height, width = size
    grey = pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32)
    made = [np.asarray(Image.fromarray(channel).resize((width, height), Image.Resampling.BILINEAR)) for channel in grey]
    stacked = np.stack(made)
    return np.rint(stacked).astype(pixels.dtype) if pixels.dtype == np.uint16 else stacked
