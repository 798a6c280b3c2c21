"""The thumbnails example: the children called directly, and the workflow on the shipped images."""

import base64
import io
import zipfile
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.template.loader import render_to_string
from PIL import Image

import examples.thumbnails
from examples.thumbnails import tasks
from examples.thumbnails.pictures import GAP, UnusableImage, sheet_of, thumbnail_of
from examples.thumbnails.workflows import thumbnails
from parent.inline import run_inline
from parent.models import Item, RunState
from tests.examples.conftest import Store

SHAPES = Path(examples.thumbnails.__path__[0]) / "data" / "shapes.zip"


def picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    written = io.BytesIO()
    Image.new(mode, (width, height)).save(written, kind)
    return written.getvalue()


def zipped(**files: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return written.getvalue()


def opened(thumbnail: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(thumbnail)))


@pytest.mark.django_db
def test_the_shipped_images_are_on_one_sheet_and_the_broken_one_is_named() -> None:
    run = run_inline(thumbnails, archive=ContentFile(SHAPES.read_bytes(), "shapes.zip"), size=64)

    assert run.state == RunState.SUCCESS
    result = run.result
    assert (result["images"], [each["name"] for each in result["broken"]]) == (12, ["cut_off.png"])
    assert "cut_off.png]: the image cannot be read" in result["broken"][0]["error"]
    sheet = opened(result["sheet"])
    assert sheet.size == (8 * (64 + GAP) + GAP, 2 * (64 + GAP) + GAP)
    assert len(sheet.getcolors(maxcolors=100_000) or ()) > 100
    items = Item.objects.filter(step__run=run, state="OK")
    assert {max(opened(item.result).size) for item in items} == {64}
    page = render_to_string("thumbnails/result.html", {"result": result, "run": run})
    assert 'alt="Contact sheet of 12 images"' in page
    assert "cut_off.png" in page


@pytest.mark.django_db
def test_images_of_which_none_can_be_read_are_an_empty_sheet() -> None:
    run = run_inline(thumbnails, archive=ContentFile(zipped(a=b"x", b=b""), "none.zip"))

    assert (run.state, run.result["images"], len(run.result["broken"])) == ("SUCCESS", 0, 2)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is not an image"),
        (b"plain text", "it is not an image"),
        (picture(50, 50)[:60], "cannot be read"),
        (picture(400, 300, "JPEG")[:400], "cannot be read"),
    ],
)
def test_what_is_no_image_says_so(content: bytes, says: str) -> None:
    with pytest.raises(UnusableImage, match=says):
        thumbnail_of(content, 64)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "LA"])
def test_every_kind_of_picture_keeps_its_shape(mode: str) -> None:
    assert opened(thumbnail_of(picture(400, 100, mode=mode), 64)).size == (64, 16)


def test_a_sheet_has_rows_of_eight() -> None:
    one = thumbnail_of(picture(32, 32), 32)

    heights = {n: opened(sheet_of([one] * n, 32)).height for n in (0, 1, 8, 9)}

    assert heights == {0: 32 + 2 * GAP, 1: 32 + 2 * GAP, 8: 32 + 2 * GAP, 9: 64 + 3 * GAP}


def test_folders_and_hidden_files_are_no_images(store: Store) -> None:
    files = {"b/": b"", "b/2.png": b"x", "a.png": b"x", "__MACOSX/a.png": b"x", ".hidden": b"x"}

    assert tasks.list_images(archive=store(zipped(**files), "x.zip")) == ["a.png", "b/2.png"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no zip", "the file is not a ZIP file"),
        (zipped(), "the ZIP file has no files"),
        (zipped(**{f"{n}.png": b"" for n in range(501)}), "has 501 files and may have 500"),
    ],
)
def test_what_is_no_archive_of_images_says_so(store: Store, content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        tasks.list_images(archive=store(content, "x.zip"))
