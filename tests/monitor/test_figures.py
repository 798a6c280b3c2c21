"""Numbers that browsers read are the same in every language; a team may have them grouped too."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone
from rest_framework import serializers

from parent import Step, Workflow
from parent.models import Schedule
from tests.flows import tasks
from tests.monitor.test_one_language import GERMAN, pages, reader

__all__ = ["pages", "reader"]

TAG = re.compile(r"<[a-zA-Z][^<>]*>")
OF_BROWSERS = re.compile(
    r"\b(x|y|cx|cy|r|rx|width|height|d|points|viewBox|value|min|max|step|rows|data-seconds|data-now)"
    r'="([^"]*)"'
)
WRITTEN_FOR_PEOPLE = re.compile(r"\d,\d|\d[.\u00a0\u202f]\d{3}\b")
MANY = 1_234_567


@pytest.fixture(autouse=True)
def _grouped(settings: LazySettings) -> None:
    settings.USE_THOUSAND_SEPARATOR = True


def wrong_in(page: str) -> list[str]:
    found = [match for tag in TAG.findall(page) for match in OF_BROWSERS.findall(tag)]
    assert found
    return [f'{name}="{value}"' for name, value in found if WRITTEN_FOR_PEOPLE.search(value)]


def test_numbers_in_attributes_are_plain(reader: Client, pages: list[str]) -> None:
    row = Schedule.objects.create(
        pk=MANY, workflow="main_flow", name="rare", every=MANY, next_at=timezone.now(), jitter=4_000
    )
    addresses = [*pages, f"/timetable/{row.pk}/"]

    said = {each: reader.get(each, headers=GERMAN).content.decode() for each in addresses}

    assert {each: wrong_in(page) for each, page in said.items() if wrong_in(page)} == {}


class Figures(serializers.Serializer[Any]):
    weight = serializers.FloatField(min_value=0.5, max_value=1234.5, initial=0.75)
    pieces = serializers.IntegerField(min_value=1000, max_value=MANY, initial=5000)
    price = serializers.DecimalField(max_digits=9, decimal_places=2, initial=Decimal("1234.50"))


def test_a_form_has_numbers_as_it_takes_them(own_registry: None, reader: Client) -> None:
    Workflow("weigh", params=Figures, steps=[Step(tasks.noop, inputs=lambda _run: {})])

    page = reader.get("/start/weigh/", headers=GERMAN).content.decode()

    assert wrong_in(page) == []
    for written in ('value="0.75"', 'min="0.5"', 'max="1234.5"', 'value="5000"', 'min="1000"'):
        assert written in page
