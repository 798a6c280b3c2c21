"""The workflow: a ZIP file in, a contact sheet out."""

from typing import Any

from rest_framework import serializers

from examples.thumbnails.tasks import contact_sheet, list_images, thumbnail
from parent import Map, RunData, Step, Workflow

__all__ = ["ThumbnailsParams", "thumbnails"]


class ThumbnailsParams(serializers.Serializer[Any]):
    """The images, and how large the thumbnails are."""

    archive = serializers.FileField(help_text="A ZIP file of up to 500 images.")
    size = serializers.IntegerField(
        min_value=32, max_value=400, default=160, help_text="Pixels of the longer side."
    )


def images(run: RunData) -> list[dict[str, Any]]:
    given = {"archive": run.params["archive"], "size": run.params["size"]}
    return [{**given, "name": name} for name in run.results["list_images"]]


def sheet_inputs(run: RunData) -> dict[str, Any]:
    found = run.results["thumbnail"]
    return {
        "thumbnails": list(found.ok()),
        "broken": [{"name": item.key, "error": item.error} for item in found.failed()],
        "size": run.params["size"],
    }


thumbnails = Workflow(
    "thumbnails",
    params=ThumbnailsParams,
    title="Make a contact sheet",
    description="Makes a thumbnail of each image in a ZIP file, and one picture of them all.",
    steps=[
        Step(
            list_images,
            title="List the images",
            inputs=lambda run: {"archive": run.params["archive"]},
        ),
        Map(
            thumbnail,
            title="Make thumbnails",
            over=images,
            key="name",
            chunk=10,
            tolerate="100%",  # a broken image does not stop the others
            weight=8,
        ),
        Step(contact_sheet, title="Draw the sheet", inputs=sheet_inputs),
    ],
)
