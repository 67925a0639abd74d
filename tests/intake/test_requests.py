"""Entries that are handed in: by which id and key a request is known, and what is wrong with one."""

from dataclasses import replace

import pytest

from holdfast.intake.requests import found_in_request
from holdfast.intake.terms import SourceTerms
from tests.intake.kit import mail

TERMS = SourceTerms("orders", "http", "desk", id=("order", "id"), max_bytes=1_000)


def test_a_request_is_known_by_the_id_in_its_body() -> None:
    first = found_in_request(TERMS, b'{"order": {"id": "o-1"}}', {"Idempotency-Key": "a"})
    again = found_in_request(TERMS, b'{"order": {"id": "o-1"}}', {"Idempotency-Key": "b"})
    other = found_in_request(TERMS, b'{"order": {"id": "o-1"}, "more": 1}', {})
    assert (first.message_id, first.value, first.is_value) == ("o-1", {"order": {"id": "o-1"}}, True)
    assert first.key == again.key != other.key
    by_id = replace(TERMS, dedupe="id")
    assert (
        found_in_request(by_id, first.content, {}).key == found_in_request(by_id, other.content, {}).key
    )  # fmt: skip


def test_a_request_without_an_id_is_known_by_its_idempotency_key_or_not_at_all() -> None:
    first = found_in_request(TERMS, b"{}", {"Idempotency-Key": "k-1"})
    again = found_in_request(TERMS, b'{"a": 1}', {"idempotency-key": "k-1"})
    other = found_in_request(TERMS, b"{}", {"Idempotency-Key": "k-2"})
    assert (first.message_id, first.key == again.key, first.key == other.key) == ("k-1", True, False)
    unknown = found_in_request(TERMS, b"{}", {})
    assert unknown.message_id == ""
    assert unknown.key != found_in_request(TERMS, b"{}", {}).key


def test_a_request_may_hold_a_mail_or_any_bytes() -> None:
    found = found_in_request(TERMS, mail("a"), {"Content-Type": "message/rfc822; charset=x"})
    assert (found.message_id, found.is_value, found.facts["subject"]) == ("<a@shop.example>", False, "About a")
    found = found_in_request(TERMS, b"\xff\0", {"Content-Type": "image/png"})
    assert (found.content, found.is_value, found.problem, found.media_type) == (b"\xff\0", False, None, "image/png")
    assert found_in_request(TERMS, b"{}", {"Content-Type": "application/cloudevents+json"}).is_value


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b"not json", {}, "no JSON"),
        (b"\xff", {"Content-Type": "application/json"}, "no JSON"),
        (b"[" * 900, {}, "no JSON"),
        (b"", {}, "no JSON"),
        (b"[" * 2_000, {}, "at most 1,000 are taken"),
        (b"x" * 2_000, {"Content-Type": "message/rfc822"}, "at most 1,000 are taken"),
        (b'{"order": {"id": 1.5}}', {}, "the id 'order.id' is 1.5"),
        (b"{}", {"Idempotency-Key": "x" * 600}, "Idempotency-Key has 600 characters"),
    ],
)
def test_what_is_wrong_with_a_request_is_its_problem(body: bytes, headers: dict[str, str], said: str) -> None:
    found = found_in_request(TERMS, body, headers)
    assert said in (found.problem or "")
    assert not found.is_value


def test_json_that_is_nested_too_deeply_is_a_problem() -> None:
    found = found_in_request(replace(TERMS, max_bytes=1_000_000), b"[" * 500_000 + b"]" * 500_000, {})
    assert "nested too deeply" in (found.problem or "")
