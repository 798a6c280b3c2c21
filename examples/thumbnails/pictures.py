"""Thumbnails and contact sheets, in plain Python without Celery."""

import base64
import io
from collections.abc import Sequence

from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["UnusableImage", "sheet_of", "thumbnail_of"]

GAP = 8
"""Pixels between the thumbnails of a sheet."""
MOST_COLUMNS = 8
QUALITY = 80


class UnusableImage(ValueError):
    """An image that cannot be read. The message says why."""


def thumbnail_of(content: bytes, size: int) -> str:
    """The image, upright and at most `size` pixels wide and high, as JPEG in base64.

    Raises:
        UnusableImage: it is not an image, it is cut off, or it has too many pixels.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            small = ImageOps.exif_transpose(image).convert("RGB")
            small.thumbnail((size, size))
    except UnidentifiedImageError as exc:
        raise UnusableImage("it is not an image, or of an unknown format") from exc
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as exc:
        raise UnusableImage(f"the image cannot be read: {exc}") from exc
    return _jpeg(small)


def sheet_of(thumbnails: Sequence[str], size: int) -> str:
    """All thumbnails side by side in rows, as JPEG in base64."""
    columns = max(1, min(MOST_COLUMNS, len(thumbnails)))
    rows = -(-len(thumbnails) // columns) or 1
    cell = size + GAP
    sheet = Image.new("RGB", (columns * cell + GAP, rows * cell + GAP), "white")
    for place, thumbnail in enumerate(thumbnails):
        row, column = divmod(place, columns)
        with Image.open(io.BytesIO(base64.b64decode(thumbnail))) as image:
            left = GAP + column * cell + (size - image.width) // 2
            top = GAP + row * cell + (size - image.height) // 2
            sheet.paste(image, (left, top))
    return _jpeg(sheet)


def _jpeg(image: Image.Image) -> str:
    written = io.BytesIO()
    image.save(written, "JPEG", quality=QUALITY)
    return base64.b64encode(written.getvalue()).decode()
