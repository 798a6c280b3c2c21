"""The pure decisions: which addresses, which occasions, what follows a try; and the signature."""

from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from parent.models import DeliveryState
from parent.notifications.addresses import Refused, is_public, resolve
from parent.notifications.next_try import DAY, DELAYS, Outcome, decide, retry_after
from parent.notifications.occasions import failed_before_retry, first_wanted, occasions_of
from parent.notifications.signing import is_secret, new_secret, signature_headers

INSIDE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255"),
    *("192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.170", "198.18.0.1"),
    *("192.0.2.1", "203.0.113.7", "192.88.99.1", "224.0.0.1", "239.255.255.250"),
    *("240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%lo", "fc00::1", "fd12::1", "ff02::1", "fec0::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:1::1", "2001:db8::1"),
    *("3fff::1", "100::1"),
]
OUTSIDE = [
    *("8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "192.169.0.1", "100.128.0.1"),
    *("2606:4700:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808"),
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_the_network_is_none_for_webhooks(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_outside_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "0", "::1"])
def test_a_name_for_this_machine_is_refused_in_each_form(host: str) -> None:
    with pytest.raises(Refused, match="WORKFLOW_WEBHOOK_ALLOW_PRIVATE"):
        resolve(host, 80, allow_private=False)

    assert resolve(host, 80, allow_private=True)


def test_of_a_name_with_several_addresses_none_may_be_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = [(2, 1, 6, "", ("8.8.8.8", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: both)

    with pytest.raises(Refused, match=r"10\.0\.0\.1"):
        resolve("two.example.com", 443, allow_private=False)


@pytest.mark.parametrize(
    ("state", "recovered", "on", "occasion"),
    [
        ("SUCCESS", False, ["succeeded"], "succeeded"),
        ("SUCCESS", False, ["recovered"], None),
        ("SUCCESS", True, ["recovered"], "recovered"),
        ("SUCCESS", True, ["succeeded"], "succeeded"),
        ("SUCCESS", True, ["succeeded", "recovered"], "recovered"),
        ("FAILURE", False, ["failed", "succeeded"], "failed"),
        ("FAILURE", False, ["started", "cancelled"], None),
        ("REVOKED", False, ["failed", "cancelled"], "cancelled"),
    ],
)
def test_a_rule_says_one_thing_of_an_end(
    state: str, recovered: bool, on: list[str], occasion: str | None
) -> None:
    assert first_wanted(occasions_of(state, recovered=recovered), on) == occasion


def test_a_run_that_goes_on_is_no_occasion() -> None:
    with pytest.raises(ValueError, match="has not ended"):
        occasions_of("PROGRESS")


@pytest.mark.parametrize(
    ("history", "failed"),
    [
        ([], None),
        (["cancel"], None),
        (["retry"], True),
        (["cancel", "retry"], False),
        (["cancel", "retry", "retry"], True),
        (["retry", "cancel", "retry"], False),
    ],
)
def test_what_came_before_a_retry(history: list[str], failed: bool | None) -> None:
    assert failed_before_retry(history) is failed


@pytest.mark.parametrize(
    ("outcome", "attempts", "state", "wait"),
    [
        (Outcome(status=200), 1, "delivered", None),
        (Outcome(error="x", status=500), 1, "waiting", DELAYS[0]),
        (Outcome(error="x"), 3, "waiting", DELAYS[2]),
        (Outcome(error="x"), len(DELAYS), "waiting", DELAYS[-1]),
        (Outcome(error="x"), len(DELAYS) + 1, "failed", None),
        (Outcome(error="x", status=429, retry_after=77), 1, "waiting", 77),
        (Outcome(error="x", status=503, retry_after=1), 2, "waiting", DELAYS[1]),
        (Outcome(error="x", status=429, retry_after=9e9), 1, "waiting", DAY),
        (Outcome(error="x", status=410), 1, "dropped", None),
        (Outcome(error="x", unwanted=True), 1, "dropped", None),
    ],
)
def test_what_follows_a_try(
    outcome: Outcome, attempts: int, state: str, wait: float | None
) -> None:
    verdict = decide(outcome, attempts)

    assert (verdict.state, verdict.wait) == (DeliveryState(state), wait)


def test_the_tries_take_about_a_day() -> None:
    assert 0.9 * DAY <= sum(DELAYS) <= DAY
    assert list(DELAYS) == sorted(DELAYS)


NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Thu, 26 Nov 2026 12:01:00 GMT", 60.0),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0.0),
        ("Thu, 26 Nov 2026 12:01:00", None),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("9" * 5_000, 999_999_999.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}, NOW) == seconds


def test_the_library_of_standard_webhooks_verifies_the_signature_of_each_secret() -> None:
    old, new = new_secret(), new_secret()
    body = '{"error": "ä"}'.encode()
    now = int(datetime.now(UTC).timestamp())

    headers = signature_headers("msg_1", now, body, [new, old])

    for secret in (old, new):
        assert Verifier(secret).verify(body, headers) == {"error": "ä"}
    for data, signed in (
        (body + b" ", headers),
        (body, headers | {"webhook-id": "msg_2"}),
        (body, headers | {"webhook-timestamp": str(now + 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            Verifier(new).verify(data, signed)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("whsec_" + "QUFB" * 8, True),
        ("whsec_" + "QUFB" * 7, False),
        ("whsec_" + "QUFB" * 22, False),
        ("QUFB" * 8, False),
        ("whsec_" + "?" * 40, False),
        ("", False),
        (None, False),
    ],
)
def test_what_a_secret_is(text: object, good: bool) -> None:
    assert is_secret(text) is good


def test_a_new_secret_is_one() -> None:
    assert is_secret(new_secret())
