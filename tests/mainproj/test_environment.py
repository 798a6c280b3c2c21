"""Settings from the environment: read, declared, and refused with what to write instead."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from mainproj.environment import Environment, env
from mainproj.environment_values import address
from monitor.policy import DEFAULT
from parent.conf import DEFAULTS

Read = Callable[[Environment], Any]

HOSTS = [
    "a.example",
    ".a.example",
    "*",
    "127.0.0.1",
    "[::1]",
    "xn--mnchen-3ya.example",
]
NO_HOSTS = [
    *("https://a.example", "a.example:8000", "a.example/", "m\u00fcnchen.example", "a b", "::1"),
    *("a_b", "*.a.example", "a.example.", "a..b", "."),
]
"""Django compares them with what browsers send, so that these would refuse each request."""
NO_ADDRESSES = ["https://0.0.0.0", "0.0.0.0:80", "a b", "m\u00fcnchen", "unix:/a.sock", "*", "[a]"]
NO_ORIGINS = [
    *(
        "https://*.a.example",
        "https://a b",
        "https://a?b",
        "https://a#b",
        "https://u:p@a",
        "https://a:x",
    ),
    *("https://m\u00fcnchen.example", "https://a:99999", "https://", "ftp://a"),
]
SERVERS = [
    *("redis://h:6379/15", "rediss://:p@h", "redis://[::1]:6379/0", "redis+socket:///a/b.sock"),
    *("amqp://u:p@h:5672/any%2Fhost", "amqp://h//;amqp://i//", "memory://"),
    *("sentinel://h:26379;sentinel://i:26379/1", "redis://h/0?ssl_cert_reqs=none"),
]
NO_SERVERS = [
    *("redis://h:99999/0", "redis://h:port/0", "amqp://h:x//", "sentinel://h:1;sentinel://i:x"),
    *("redis://h/x", "redis://h/-1", "rediss://h/1/2", "redis+socket://a", "redis+socket://"),
]
"""Celery would say so with a traceback, some of them at the first message."""
NO_DATABASES = ["postgres://", "postgres://h", "postgres://u:p@h:5432/"]
LONG = [("number", 16), ("number", 5_000), ("seconds", 30), ("lasting", 10)]
EXAMPLES = "examples.thumbnails,examples.submission.apps.SubmissionConfig"
READ: dict[str, Read] = {
    "flag": lambda env: env.flag("X", False, ""),
    "number": lambda env: env.number("X", 5, "", at_least=1),
    "seconds": lambda env: env.seconds("X", 5, ""),
    "lasting": lambda env: env.seconds("X", 5, "", zero=""),
    "words": lambda env: env.words("X", ["a"], "", example="b"),
    "hosts": lambda env: env.hosts("X", ["a"], ""),
    "address": lambda env: env.read("X", "", "", address, kind="", example="0.0.0.0"),
    "origins": lambda env: env.origins("X", ""),
    "wild": lambda env: env.origins("X", "", wildcards=True),
    "apps": lambda env: env.apps("X", ["a"], "", beside=["django.contrib.admin"], example=EXAMPLES),
    "port": lambda env: env.number("X", 5, "", at_most=65_535),
    "rate": lambda env: env.rate("X", "60/min", ""),
    "limits": lambda env: env.limits("X", ""),
    "choice": lambda env: env.choice("X", "json", "", among=["json", "text"]),
    "text": lambda env: env.text("X", "a", "", example="b"),
    "database": lambda env: env.database("X", "sqlite:////a", "", unset="")["ENGINE"],
    "url": lambda env: env.url("X", "redis://h/0", "", unset=""),
    "http": lambda env: env.url(
        "X", "", "", schemes=["http", "https"], unset="", example="http://collector:4318"
    ),
    "cache": lambda env: env.url("X", "redis://h/0", "", schemes=["redis"], unset=""),
}


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        *(
            ("flag", "on", True),
            ("flag", "1", True),
            ("flag", "True", True),
            ("flag", "off", False),
        ),
        *(("number", "7", 7), ("number", " 7 ", 7), ("number", "", 5)),
        *(("seconds", "0.5", 0.5), ("seconds", "0", 0.0)),
        *(("words", "b, c,", ["b", "c"]), ("words", "", ["a"])),
        ("origins", "https://a.example, http://b:8000", ["https://a.example", "http://b:8000"]),
        *(("limits", "gpu=2, mail=100/m", {"gpu": "2", "mail": "100/m"}), ("limits", "", {})),
        *(("rate", "100/hour", "100/hour"), ("rate", "off", None), ("rate", "", "60/min")),
        *(("choice", "text", "text"), ("text", "anything", "anything"), ("text", "", "a")),
        ("database", "postgres://u:p@h/n", "django.db.backends.postgresql"),
        ("database", "", "django.db.backends.sqlite3"),
        *(("url", "amqp://h//", "amqp://h//"), ("cache", "redis://h/1", "redis://h/1")),
        ("cache", "", "redis://h/0"),
        *[("hosts", host, [host]) for host in HOSTS],
        ("hosts", "A.Example", ["a.example"]),
        *[("address", text, text) for text in ("0.0.0.0", "::", "::1", "localhost", "a.example")],
        ("address", "[::1]", "::1"),
        ("hosts", "a.example, .b.example", ["a.example", ".b.example"]),
        ("wild", "https://*.a.example", ["https://*.a.example"]),
        # As browsers send them.
        ("origins", "HTTPS://A.example:443,http://b:80", ["https://a.example", "http://b"]),
        ("origins", "http://[::1]:8000", ["http://[::1]:8000"]),
        ("apps", EXAMPLES, EXAMPLES.split(",")),
        ("port", "65535", 65_535),
        *[("url", url, url) for url in SERVERS],
        *[("seconds", text, 1e9) for text in ("1e9", "1000000000")],
    ],
)
def test_a_value_is_read(kind: str, value: str, found: Any) -> None:
    assert READ[kind](Environment({"X": value})) == found


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("flag", "maybe", "X=maybe cannot be used: it is neither on nor off"),
        ("number", "0", "X=0 cannot be used: it is not a whole number from 1 up"),
        ("number", "-1", "X=-1 cannot be used: it is not a whole number from 1 up"),
        ("number", "1.5", "X=1.5 cannot be used: it is not a whole number from 1 up"),
        ("seconds", "-1", "X=-1 cannot be used: it is not a number of seconds, or 0 for never"),
        ("seconds", "nan", "X=nan cannot be used: it is not a number of seconds, or 0 for never"),
        ("seconds", "inf", "X=inf cannot be used: it is not a number of seconds, or 0 for never"),
        ("lasting", "0", "X=0 cannot be used: it is not a number of seconds"),
        ("origins", "a.example", "X=a.example cannot be used: a.example is not a scheme and host"),
        (
            "origins",
            "https://a/b",
            "X=https://a/b cannot be used: https://a/b is not a scheme and host",
        ),
        ("text", "a\udcff", "X=a\\udcff cannot be used: it is not text in UTF-8"),
        ("rate", "60/fortnight", "X=60/fortnight cannot be used: it is not a rate"),
        ("rate", "0/min", "X=0/min cannot be used: it is not a rate"),
        (
            "limits",
            "gpu",
            "X=gpu cannot be used: gpu: '' is not a size of a limit from 0 to 10,000",
        ),
        ("limits", "gpu=2,gpu=3", "X=gpu=2,gpu=3 cannot be used: it has a name twice"),
        ("limits", "g u=2", "X=g u=2 cannot be used: 'g u' is not a name of a limit"),
        ("choice", "xml", "X=xml cannot be used: it is none of json, text"),
        ("database", "mysql://u:p@h/n", "X cannot be used: it is not a URL of a PostgreSQL"),
        ("database", "nonsense", "X cannot be used: it is not a URL of a PostgreSQL"),
        (
            "database",
            "postgres://h:p/n",
            "X cannot be used: it is not a URL of a PostgreSQL or SQLite",
        ),
        ("url", "localhost:6379", "X cannot be used: it is not a URL"),
        ("cache", "amqp://h//", "X cannot be used: its scheme is none of redis"),
        *[("hosts", host, f"X={host} cannot be used: {host} is not a ") for host in NO_HOSTS],
        ("hosts", ",", "X=, cannot be used: it names no host"),
        *[("address", text, f"X={text} cannot be used: it is not an add") for text in NO_ADDRESSES],
        *[("origins", url, f"X={url} cannot be used: {url} is not a ") for url in NO_ORIGINS],
        *[("wild", url, f"X={url} cannot be used: {url} is not a ") for url in NO_ORIGINS[1:]],
        *[("url", url, "X cannot be used: it has no") for url in NO_SERVERS],
        ("http", "collector:4318", "X cannot be used: it is not a URL"),
        ("http", "grpc://collector:4317", "X cannot be used: its scheme is none of http, https"),
        ("port", "65536", "X=65536 cannot be used: it is more than 65,535"),
        *[
            (kind, "9" * size, f"X={'9' * size} cannot be used: it is more than ")
            for kind, size in LONG
        ],
        *[
            (kind, "1e300", "X=1e300 cannot be used: it is more than ")
            for kind in ("seconds", "lasting")
        ],
        ("apps", "os.paths", "X=os.paths cannot be used: there is no module os.paths"),
        (
            "apps",
            "examples.none",
            "X=examples.none cannot be used: there is no module examples.none",
        ),
        ("apps", "examples.none.Shop", "X=examples.none.Shop cannot be used: there is no module"),
        (
            "apps",
            "examples.thumbnails.apps.Shop",
            "X=examples.thumbnails.apps.Shop cannot be used: there is no Shop in examples.",
        ),
        ("apps", "os,os", "X=os,os cannot be used: os is there twice"),
        (
            "apps",
            "os,django.contrib.admin",
            "X=os,django.contrib.admin cannot be used: django.contrib.admin is installed without",
        ),
        *[("database", url, "X cannot be used: it has no name of a") for url in NO_DATABASES],
    ],
)
def test_a_wrong_value_is_told_with_its_reason_and_an_example(
    kind: str, value: str, reason: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as told:
        READ[kind](Environment({"X": value}))

    assert str(told.value).startswith(reason)
    example = str(told.value).partition("Write, for example, X=")[2]
    READ[kind](Environment({"X": example}))  # it can be used itself


def test_what_the_settings_read_is_declared_once_with_words() -> None:
    names = [declared.name for declared in env.declared]

    assert {"DEBUG", "SECRET_KEY", "DATABASE_URL", "LOG_FORMAT", *DEFAULTS} <= set(names)
    assert len(names) == len(set(names))
    for declared in env.declared:
        assert declared.about, declared
        assert declared.default, declared
        assert declared.example, declared
        assert "/tmp/" not in declared.default, declared  # no path of this machine


def test_the_policys_default_is_declared_as_it_is() -> None:
    declared = {declared.name: declared.default for declared in env.declared}

    assert declared["WORKFLOW_POLICY"] == DEFAULT


def test_the_engines_defaults_are_declared_as_they_are() -> None:
    declared = {declared.name: declared.default for declared in env.declared}

    assert {name: declared[name] for name in DEFAULTS} == {
        name: f"{default:.10g}" if default else "never" for name, default in DEFAULTS.items()
    }


@pytest.mark.parametrize("kind", ["shelf.flows", "shelf.apps.Shelf"])
def test_what_an_app_cannot_import_is_not_called_the_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The app is there: Python says which module it lacks, and where."""
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "__init__.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        READ["apps"](Environment({"X": kind}))


CONFIG = """
from django.apps import AppConfig

class Config(AppConfig):
    name = "{name}"
    {more}
"""


def package(folder: Path, name: str, apps_module: str = "") -> None:
    path = folder.joinpath(*name.split("."))
    path.mkdir(parents=True)
    (path / "__init__.py").touch()
    (path / "apps.py").write_text(apps_module)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Apps with the label of another one, and one that has its own."""
    package(tmp_path, "school.admin")
    package(tmp_path, "school.flows", CONFIG.format(name="school.flows", more=""))
    package(tmp_path, "club.flows", CONFIG.format(name="club.flows", more=""))
    package(tmp_path, "club.admin", CONFIG.format(name="club.admin", more='label = "club"'))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in ("school", "club")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("school.admin", "school.admin has the label of django.contrib.admin, 'admin'"),
        ("school.flows,club.flows", "club.flows has the label of school.flows, 'flows'"),
        (
            "school.flows,club.flows.apps.Config",
            "club.flows.apps.Config has the label of school.flows, 'flows'",
        ),
        (
            "school.flows.apps.Config,club.flows",
            "club.flows has the label of school.flows.apps.Config, 'flows'",
        ),
    ],
)
@pytest.mark.usefixtures("packages")
def test_two_apps_with_one_label_are_told_with_what_to_do(value: str, told: str) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        READ["apps"](Environment({"X": value}))

    assert str(raised.value).startswith(
        f"X={value} cannot be used: {told}: give the AppConfig of yours another `label`"
    )


@pytest.mark.parametrize("value", ["club.admin", "club.admin.apps.Config,school.flows"])
@pytest.mark.usefixtures("packages")
def test_an_app_with_a_label_of_its_own_is_taken(value: str) -> None:
    assert READ["apps"](Environment({"X": value})) == value.split(",")
