"""The result as a page: as text, and in a real browser on small and large screens."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from playwright.sync_api import Browser, sync_playwright

from examples.csv_profile.templatetags.csv_profile import compact, peak, scaled, share
from tests.browser.chromium import HOW_TO_INSTALL, find
from tests.conftest import missing
from tests.examples.conftest import TIME_ZONES, Store, profiled

ODD = (
    "id;<b>age</b>;age;age;" + "long" * 30 + "\n"
    "1;;<script>alert(1)</script>;<i>first</i>;" + "x" * 200 + "\n"
    "2;;<script>alert(1)</script>;;\n" + "3\n" * 8
)


@pytest.fixture
def pages(store: Store) -> dict[str, str]:
    """The fragments of an ordinary, an odd and an empty file."""
    files = {"plain": TIME_ZONES.read_bytes(), "odd": ODD, "empty": "a,b\n"}
    return {
        name: render_to_string("csv_profile/result.html", {"result": profiled(store(content))})
        for name, content in files.items()
    }


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = find()
    if path is None:
        missing(HOW_TO_INSTALL)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-3, "\N{MINUS SIGN}3"),
        (1999, "1999"),
        (1_234_567, "1,234,567"),
        (999_999_999_999_999_999, "999,999,999,999,999,999"),
        (10**21 - 1, "999,999,999,999,999,999,999"),
        (2**70, "1.18059e+21"),
        (-(10**299), "\N{MINUS SIGN}1e+299"),
        (2.0, "2"),
        (0.1 + 0.2, "0.3"),
        (12_345.678, "12,345.7"),
        (66_406_400.25, "66,406,400"),
        (1.5e-9, "1.5e\N{MINUS SIGN}09"),
        (1e30, "1e+30"),
        ("2024-01-02", "2024-01-02"),
    ],
)
def test_numbers_are_written_for_people(value: object, text: str) -> None:
    assert compact(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, "0 %"), (0, 9, "0 %"), (1, 1000, "< 1 %"), (999, 1000, "> 99 %"), (3, 4, "75 %")],
)
def test_a_share_is_never_rounded_to_none_or_all(part: int, whole: int, text: str) -> None:
    assert share(part, whole).replace("\N{NO-BREAK SPACE}", " ") == text


def test_bars_fit_the_highest_and_show_the_least() -> None:
    assert peak([{"count": 3}, {"count": 12}]) == 12
    assert [scaled(count, 1_000) for count in (0, 1, 500, 1_000)] == ["0", "1.5", "50", "100"]
    assert scaled(0, 0) == "0"


def test_every_column_has_its_name_its_figures_and_its_chart(pages: dict[str, str]) -> None:
    page = pages["plain"]
    for text in ("<h3>table.csv</h3>", "<dd>312</dd>", "14 missing (4\N{NO-BREAK SPACE}%)"):
        assert text in page
    assert "<span>\N{MINUS SIGN}78.4</span><span>76.7667</span>" in page
    assert "<span>1844-12-31</span><span>1952-10-16</span>" in page
    assert page.count("<h4>") == 8
    assert page.count('class="csv-histogram"') == 4
    assert page.count("No value occurs twice.") == 2


def test_a_histogram_draws_one_bar_a_bin_no_higher_than_its_frame(pages: dict[str, str]) -> None:
    drawn = re.findall(r'<svg class="csv-histogram".*?</svg>', pages["plain"], re.DOTALL)
    for svg in map(ElementTree.fromstring, drawn):
        width = float(svg.attrib["viewBox"].split()[2])
        bars = svg.findall(".//rect")
        heights = [float(bar.attrib["height"]) for bar in bars]
        assert max(heights) == 100
        assert len(bars) * 20 == width
        assert [float(bar.attrib["x"]) for bar in bars] == [20 * i for i in range(len(bars))]


def test_what_cells_hold_is_never_markup_and_nothing_needs_a_lax_policy(
    pages: dict[str, str],
) -> None:
    page = pages["odd"]
    assert not re.search("<(script|b|i)>", page)
    assert all(f"&lt;{tag}&gt;" in page for tag in ("script", "b", "i"))
    assert not re.search(r"\s(style|on\w+)=", page)


def test_findings_and_all_uneven_rows_are_listed(pages: dict[str, str]) -> None:
    assert "8 rows without exactly 5 cells; line (cells): 4 (1), 5 (1), " in pages["odd"]
    assert "All 8 uneven rows" in pages["odd"]
    assert "line 11: 1 cell<" in pages["odd"]
    assert "Worth knowing" not in pages["plain"]
    assert "The file has a header and no rows." in pages["empty"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1920])
@pytest.mark.parametrize("name", ["plain", "odd", "empty"])
def test_the_page_fits_the_screen_and_can_be_read(
    chromium: Browser, pages: dict[str, str], name: str, width: int, scheme: str
) -> None:
    css = finders.find("csv_profile/result.css")
    assert isinstance(css, str)
    context = chromium.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    try:
        page = context.new_page()
        page.set_content(f"<!doctype html><title>x</title><main>{pages[name]}</main>")
        page.add_style_tag(path=css)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # Luminance of text and background: far enough apart for anybody to read.
        dark, light = sorted(page.evaluate(LUMINANCES))
        assert (light + 0.05) / (dark + 0.05) > 7
        assert (page.evaluate(LUMINANCES)[0] > 0.5) == (scheme == "dark")
    finally:
        context.close()


LUMINANCES = """() => {
  const style = getComputedStyle(document.querySelector(".csv-profile"));
  return [style.color, style.backgroundColor].map(color => {
    const [r, g, b] = color.match(/\\d+/g).map(Number).map(c => c / 255)
      .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  });
}"""
"""How light the text is, and the surface under it: 0 to 1, as WCAG defines it."""
