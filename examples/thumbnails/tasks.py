"""The children: list the images, make one thumbnail, draw the contact sheet."""

import zipfile
from typing import Any

from django.core.files.storage import default_storage

from children import Progress, child_task
from examples.thumbnails.pictures import UnusableImage, sheet_of, thumbnail_of

__all__ = ["contact_sheet", "list_images", "thumbnail"]

MOST_IMAGES = 500
"""Their thumbnails are rows of the database, and all of them go into one sheet."""
LARGEST = 50_000_000
"""Bytes of one image: a small ZIP file may unpack to very many."""


@child_task(name="thumbnails.list_images")
def list_images(progress: Progress, archive: str) -> list[str]:
    """The names of the files in a ZIP file, in order; folders and hidden files are left out.

    Raises:
        ValueError: it is not a ZIP file, has no files, or too many.
    """
    try:
        with default_storage.open(archive, "rb") as file, zipfile.ZipFile(file) as opened:
            names = [info.filename for info in opened.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as exc:
        raise ValueError("the file is not a ZIP file: pack the images into one") from exc
    shown = sorted({name for name in names if not _is_hidden(name)})
    if not shown:
        raise ValueError("the ZIP file has no files")
    if len(shown) > MOST_IMAGES:
        raise ValueError(f"the ZIP file has {len(shown):,} files and may have {MOST_IMAGES}")
    return shown


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


@child_task(name="thumbnails.thumbnail")
def thumbnail(progress: Progress, archive: str, name: str, size: int) -> str:
    """The thumbnail of one image of the ZIP file, as JPEG in base64.

    Raises:
        UnusableImage: this file cannot be read as an image.
    """
    with default_storage.open(archive, "rb") as file, zipfile.ZipFile(file) as opened:
        if opened.getinfo(name).file_size > LARGEST:
            raise UnusableImage(f"it has more than {LARGEST:,} bytes")
        try:
            content = opened.read(name)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as exc:
            raise UnusableImage(f"it cannot be unpacked: {exc}") from exc
    return thumbnail_of(content, size)


@child_task(name="thumbnails.contact_sheet")
def contact_sheet(
    progress: Progress, thumbnails: list[str], broken: list[dict[str, str]], size: int
) -> dict[str, Any]:
    """One picture of all thumbnails, and which files could not be read."""
    return {"images": len(thumbnails), "broken": broken, "sheet": sheet_of(thumbnails, size)}
