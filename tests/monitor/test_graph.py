"""The graph on the pages of a workflow and of a run, and why a step was skipped."""

from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone, translation

from monitor.pages.drawing.graph import FOLDED_FROM, MOST_STEPS, Graph, Node, draw, sketch_of
from parent.decisions.mapping import Counts
from parent.definition.workflow import registry
from parent.models import Run, Step

MakeRun = Callable[..., Run]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def signed_in(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


def svg_of(page: str) -> ElementTree.Element:
    """The graph of a page, which is XML as well."""
    start = page.index("<svg", page.index('id="graph"'))
    markup = page[start : page.index("</svg>", start) + 6]
    return ElementTree.fromstring(markup.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"'))


def nodes_of(page: str) -> dict[str, list[str]]:
    """The words of each box, by its title."""
    boxes = svg_of(page).iter(f"{SVG}foreignObject")
    words = [[part.strip() for part in box.itertext() if part.strip()] for box in boxes]
    return {title: rest for title, *rest in words}


def edges_of(page: str) -> list[str]:
    return [
        each.attrib["class"].removeprefix("edge ")
        for each in svg_of(page).iter(f"{SVG}path")
        if each.attrib["class"] != "tip"
    ]


def add_steps(run: Run, **steps: dict[str, Any]) -> None:
    run.steps.all().delete()
    Step.objects.bulk_create(
        Step(**{"run": run, "index": index, "name": name, "task": "x", **columns})
        for index, (name, columns) in enumerate(steps.items())
    )


def ended(state: str, **columns: Any) -> dict[str, Any]:
    now = timezone.now()
    return {"state": state, "started_at": now, "finished_at": now, **columns}


@pytest.fixture
def failed_run(owner: User, make_run: MakeRun) -> Run:
    run = make_run(owner, state="FAILURE", error="Error in publish: no paper")
    add_steps(
        run,
        load=ended("OK", attempt=1, task_id="1"),
        publish=ended("ERROR", attempt=1, task_id="2", error="no paper", after=["load"]),
        tell=ended("SKIPPED", after=["publish"], optional=True, message="skipped: publish failed"),
        undo={"after": ["load", "publish"], "when": "failed"},
        clean_up={"after": ["tell", "undo"], "when": "always"},
    )
    return run


def test_the_graph_of_a_run_says_states_and_conditions_in_words(
    signed_in: Client, failed_run: Run
) -> None:
    page = text(signed_in.get(f"/runs/{failed_run.pk}/"))

    assert nodes_of(page) == {
        "load": ["done"],
        "publish": ["failed"],
        "tell": ["skipped", "optional"],
        "undo": ["waiting", "after a failure"],
        "clean_up": ["waiting", "in any case"],
    }
    assert edges_of(page) == ["ok taken", "ok", "failed", "failed", "always", "always"]
    assert 'title="skipped: publish failed"' in page
    assert "A dashed line leads to" in page
    svg = svg_of(page)
    assert svg.attrib["role"] == "group"
    assert svg.findtext(f"{SVG}desc") == (
        "load comes first. publish comes after load. tell (optional) comes after publish. "
        "undo comes after load, publish, if one of them failed. "
        "clean_up comes after tell, undo, in any case."
    )


def test_each_box_leads_to_the_row_of_its_step(signed_in: Client, failed_run: Run) -> None:
    page = text(signed_in.get(f"/runs/{failed_run.pk}/"))

    links = [each.attrib["href"] for each in svg_of(page).iter(f"{SVG}a")]
    assert links == [f"#step-{index}" for index in range(5)]
    for link in links:
        assert page.count(f'id="{link[1:]}"') == 1


COUNTS = Counts(total=2, ok=1, running=1).as_dict()


def test_a_box_of_a_child_run_leads_to_it_and_one_of_many_to_their_list(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    run, inner = make_run(owner), make_run(owner)
    active = {"state": "RUNNING", "attempt": 1}
    add_steps(
        run,
        child={**active, "task_id": "1"},
        nested={**active, "task_id": "2", "task": "parent.inner", "child_run_id": inner.pk},
        each={**active, "task_id": "3", "task": "parent.inner", "items": COUNTS, "chunk": 1},
        mapped={**active, "task_id": "4", "items": COUNTS, "chunk": 1},
        not_yet={"task": "parent.inner"},
    )

    svg = svg_of(text(signed_in.get(f"/runs/{run.pk}/")))

    links = [(each.attrib["href"], each.attrib.get("title")) for each in svg.iter(f"{SVG}a")]
    assert links == [
        ("#step-0", None),
        (f"/runs/{inner.pk}/", "Page of this run"),
        (f"/runs/{run.pk}/steps/each/items/", "All items, with the pages of their runs"),
        ("#step-3", None),
        ("#step-4", None),
    ]
    for address, title in links:
        assert title is None or signed_in.get(address).status_code == 200


def test_signals_are_drawn_before_a_run_as_in_one(signed_in: Client, owner: User) -> None:
    """Those that steps wait for, and those that feed a map."""
    before = text(signed_in.get("/start/questionnaire/"))
    run = registry.get("questionnaire").start(owner=owner, study="s1")
    during = text(signed_in.get(f"/runs/{run.pk}/"))

    assert nodes_of(before)["A page of answers"] == ["a signal"]
    assert {title: words[1:] for title, words in nodes_of(during).items()} == nodes_of(before)
    assert edges_of(before) == [each.removesuffix(" taken") for each in edges_of(during)]
    words = [svg_of(page).findtext(f"{SVG}desc") for page in (before, during)]
    assert words[0] == words[1]
    assert "comes after A page of answers" in str(words[0])


def test_a_row_that_is_not_drawn_is_a_page_away(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner)
    add_steps(run, **{f"s{number}": {} for number in range(60)})

    page = text(signed_in.get(f"/runs/{run.pk}/"))

    assert 'href="#step-49"' in page
    assert 'href="?steps=all#step-50"' in page
    assert 'id="step-50"' not in page
    assert 'id="step-50"' in text(signed_in.get(f"/runs/{run.pk}/?steps=all"))


@pytest.mark.parametrize(
    ("count", "drawn", "folded"),
    [
        (1, False, False),
        (2, True, False),
        (FOLDED_FROM - 1, True, False),
        (FOLDED_FROM, True, True),
        (MOST_STEPS, True, True),
        (MOST_STEPS + 1, False, False),
    ],
)
def test_a_large_graph_is_folded_and_a_huge_one_is_not_drawn(
    signed_in: Client, owner: User, make_run: MakeRun, count: int, drawn: bool, folded: bool
) -> None:
    run = make_run(owner)
    add_steps(run, **{f"s{number}": {} for number in range(count)})

    page = text(signed_in.get(f"/runs/{run.pk}/"))

    section = page[page.index('id="graph"') : page.index('id="timeline"')]
    assert ("<svg" in section) is drawn
    assert ("<details" in section) is folded


def test_many_lines_are_not_drawn() -> None:
    names = [f"s{number}" for number in range(60)]
    after = {name: names[:number] for number, name in enumerate(names)}

    assert draw([Node(name=name, title=name) for name in names], after) is None


@pytest.mark.parametrize("path", ["/start/diamond/", "/runs/{}/"])
def test_figures_of_a_drawing_are_the_same_in_every_language(
    signed_in: Client, owner: User, make_run: MakeRun, path: str, settings: Any
) -> None:
    settings.USE_THOUSAND_SEPARATOR = True
    run = make_run(owner)
    add_steps(run, **{f"s{n}": {"after": [f"s{n - 1}"] if n else []} for n in range(30)})

    with translation.override("de"):
        page = text(signed_in.get(path.format(run.pk)))

    for each in svg_of(page).iter(f"{SVG}foreignObject"):
        assert [float(each.attrib[name]) for name in ("x", "y", "width", "height")]
    assert len(svg_of(page).attrib["viewBox"].split()) == 4
    assert [float(number) for number in svg_of(page).attrib["viewBox"].split()][2] > 100


def test_the_page_of_a_workflow_has_its_graph(signed_in: Client) -> None:
    page = text(signed_in.get("/start/diamond/"))

    assert nodes_of(page) == {"top": [], "left": [], "right": [], "bottom": []}
    assert edges_of(page) == ["ok"] * 4
    assert svg_of(page).attrib["role"] == "img"
    assert "bottom comes after left, right." in page
    assert "<svg" not in text(signed_in.get("/start/silent/"))  # of one step


def test_a_form_with_errors_has_the_graph_as_well(signed_in: Client) -> None:
    page = text(signed_in.post("/start/diamond/", {"a": "x"}))

    assert "bottom" in nodes_of(page)


def test_no_drawing_has_a_style_that_the_policy_forbids(signed_in: Client, failed_run: Run) -> None:
    for path in ("/", "/start/diamond/", f"/runs/{failed_run.pk}/"):
        page = text(signed_in.get(path))
        assert "style=" not in page
        assert "<style" not in page


def workflow(after: dict[str, str]) -> Any:
    """A workflow whose steps wait for the steps of these names, separated by spaces."""
    return SimpleNamespace(
        steps=[SimpleNamespace(label=name, shown_title=name) for name in after],
        after=lambda step: tuple(after[step.label].split()),
    )


@pytest.mark.parametrize(
    ("after", "dots", "lines", "titles", "more"),
    [
        ({"a": ""}, 0, 0, ["a"], 0),
        ({"top": "", "l": "top", "r": "top", "end": "l r"}, 4, 4, ["top", "l", "r", "end"], 0),
        ({"a": "b", "b": "a"}, 2, 1, ["a", "b"], 0),  # a check refuses it, and the page is shown
        ({"a": "gone", "b": "a"}, 2, 1, ["a", "b"], 0),
        ({f"s{n}": "" for n in range(200)}, 0, 0, [f"s{n}" for n in range(8)], 192),
    ],
)
def test_the_catalogue_sketches_the_shape_of_a_workflow(
    after: dict[str, str], dots: int, lines: int, titles: list[str], more: int
) -> None:
    sketch = sketch_of(workflow(after))

    assert len(sketch.dots) == dots
    assert (len(sketch.shape.lines) if sketch.shape else 0) == lines
    assert (list(sketch.titles), sketch.more) == (titles, more)


def boxes(*titles: str, **columns: Any) -> Graph:
    found = draw(
        [Node(name=str(n), title=title, **columns) for n, title in enumerate(titles)],
        {str(n): [str(n - 1)] if n else [] for n in range(len(titles))},
    )
    assert found is not None
    return found


def test_boxes_are_as_large_as_their_words_need_within_limits() -> None:
    short, long, longest = (boxes("a", "b" * count).box for count in (3, 16, 99))

    assert short.width < long.width < longest.width
    assert short.height == long.height < longest.height  # of two lines
    assert longest == boxes("a", "b" * 999).box
    states = boxes("a", "b", state="SUCCESS", word="done").box
    notes = boxes("a", "b", state="SUCCESS", word="done", when="failed").box
    assert short.height < states.height < notes.height


def test_the_drawing_of_a_run_does_not_change_its_size() -> None:
    """So nothing jumps on the page."""
    moments = [("PENDING", "waiting"), ("STARTED", "running"), ("REVOKED", "skipped")]
    sizes = [boxes("a", "b", state=state, word=word).outer for state, word in moments]

    assert all(before == after for before, after in pairwise(sizes))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("skipped: validate failed", "skipped: Read the layout failed"),
        ("skipped: validate was not needed", "skipped: Read the layout was not needed"),
        ("skipped: nothing before it failed", "skipped: nothing before it failed"),
        ("", "skipped"),
    ],
)
def test_a_skipped_step_says_why_by_the_title_of_the_other(
    signed_in: Client, owner: User, make_run: MakeRun, message: str, said: str
) -> None:
    run = make_run(owner, workflow="csv_profile", state="FAILURE", error="no")
    run.steps.filter(name="func_1").update(name="validate")
    skipped = ended("SKIPPED", message=message, started_at=None, after=["validate"])
    run.steps.filter(name="func_2").update(**skipped)

    page = text(signed_in.get(f"/runs/{run.pk}/"))
    status = signed_in.get(f"/tasks/{run.pk}/").json()

    assert status["steps"][1]["message"] == said
    timeline = page[page.index('id="timeline"') :]
    assert f"<li>{said}</li>" in timeline
    if said != "skipped":
        assert f'<span class="message">{said}</span>' in page


def test_a_line_leads_from_a_signal_to_the_step_that_it_feeds(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner)
    add_steps(
        run,
        load={},
        page={"awaits": "signal", "task": "", "after": ["load"]},
        read={"after": ["load"], "fed_by": "page", "chunk": 1},
    )

    svg = svg_of(text(signed_in.get(f"/runs/{run.pk}/")))

    assert svg.findtext(f"{SVG}desc") == (
        "load comes first. page comes after load. read comes after load, page."
    )
