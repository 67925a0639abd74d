"""The stages of the mail desk, each as a pure function of what is known of a message."""

from __future__ import annotations

from dataclasses import replace

import pytest
from email_desk import checking, deciding, drafting, sorting
from email_desk.message import Message, NotUnderstood, parse, run_id
from email_desk.values import Complaint, Contact, Context, Deal, Decision, Draft, Earlier, Tier, Update

from tests.examples.desk_kit import SAMPLE, mail, take

# Tier and context


def test_tiers() -> None:
    assert sorting.tier(mail()) == Tier("normal", "nothing special")
    assert sorting.tier(mail("Please answer ASAP")).name == "urgent"
    assert sorting.tier(mail(X_Priority="1 (Highest)")).name == "urgent"
    assert sorting.tier(mail("ok\n\nOn Monday somebody wrote:\n> urgent")).name == "normal"
    assert sorting.tier(parse(b"From: a@Northwind.example\n\nhello")).name == "vip"


def test_context_has_the_thread_with_this_message_last() -> None:
    message = mail(
        "Yes.\n> Shall we?",
        Subject="RE: Fwd: AW: Lamps",
        References="<a@x> <m1@letters.example> <b@x>",
        In_Reply_To="<c@x>",
    )
    expected = Context("Lamps", ("a@x", "b@x", "c@x", "m1@letters.example"), "Yes.", "Shall we?")
    assert sorting.read(message) == expected


# Draft and its checks


def test_a_draft_passes_its_checks_at_once() -> None:
    answer, flaws, complaints, decision = take(mail(Subject="My parcel", Date="Mon, 03 Mar 2025 09:12:00 +0100"))
    assert not flaws
    assert not complaints
    assert decision == Decision("mode", "")
    assert answer.revision == 0
    assert answer.subject == "Re: My parcel"
    assert answer.body.startswith("Hello Ada,\n\nThank you for your message of 2025-03-03 about “My parcel”.")
    assert "\n> When does it arrive?\n" in answer.body


@pytest.mark.parametrize(
    ("message", "flaws", "gone"),
    [
        (mail("I WANT MY MONEY!!"), {"shouting"}, "MONEY"),
        (mail("You idiots."), {"words"}, "idiots"),
        (mail(Subject="WHERE IS MY LAMP!!!"), {"shouting"}, "WHERE"),
        (mail(Subject="Damned lamp"), {"words"}, "amned"),
        (mail("ok\n\nOn Monday somebody wrote:\n> about order 4711"), {"order"}, "4711"),
        (mail(Date="Mon, 30 Jun 3609 15:33:50 +0600"), {"date"}, "3609"),
        (mail("word " * 1_000), {"length"}, "word " * 200),
        (parse(b"From: ADA LOUD VOICE <a@b.example>\n\nhello"), {"shouting"}, "ADA LOUD"),
        (parse(b"From: 'a@b.example' <a@b.example>\n\nhello"), {"name"}, "a@b"),
    ],
)
def test_a_draft_is_sent_back_once_and_mended(message: Message, flaws: set[str], gone: str) -> None:
    answer, found, complaints, decision = take(message)
    assert found == flaws
    assert not complaints
    assert decision.verdict == "mode"
    assert answer.revision == 1
    assert gone not in answer.body


def test_order_numbers_of_the_sender_are_kept() -> None:
    assert "order 48213." in take(mail("I placed order no. 48213."))[0].body
    assert "order AB-4711." in take(mail(Subject="Order #AB-4711"))[0].body


def test_the_checks_find_what_they_look_for() -> None:
    message = mail()
    around = sorting.read(message)
    bad = Draft("", "a@b.example", "", "Re: x", "", (), "Hello Eve,\nabout order 99999\n", 0)
    assert [c.flaw for c in checking.fact(message, around, bad)] == ["order", "name"]
    assert [c.flaw for c in checking.qa(bad)] == ["length", "closing"]


def test_legal_words_are_for_people() -> None:
    assert take(mail("We think of a court\norder."))[3].verdict == "refuse"
    assert take(mail("My lawyer will call."))[3] == Decision("refuse", "for the legal department: it says 'lawyer'")
    assert take(mail("ok\n> my lawyer"))[3].verdict == "mode"


# Policy and escalation

NORMAL = Tier("normal", "nothing special")
VIP = Contact("Ada", "Letters", True)


def decided(message: Message, tier: Tier = NORMAL, complaints: tuple[Complaint, ...] = (), **known: object) -> Decision:
    return deciding.escalation(message, tier, replace(sorting.read(message), **known), complaints)


def test_what_a_revision_could_not_mend_is_for_a_person() -> None:
    decision = decided(mail(), complaints=(Complaint("length", "too long"),))
    assert decision == Decision("review", "still wrong after a revision: too long")


@pytest.mark.parametrize(
    ("body", "known", "reason"),
    [
        ("We take our business elsewhere.", {}, "they threaten to leave: it says 'take our business elsewhere'"),
        ("I am cancelling my account", {}, "they threaten to leave: it says 'cancelling my account'"),
        ("This is unacceptable.", {"contact": VIP}, "an angry customer who comes first: it says 'unacceptable'"),
        ("WHERE IS IT", {"contact": VIP}, "an angry customer who comes first: it says 'WHERE IS IT'"),
        ("You owe me EUR 5,000.00", {}, "it is about 5,000, and the limit is 5,000"),
        ("You owe me 12.500 €", {}, "it is about 12,500, and the limit is 5,000"),
        ("I want a\nrefund", {"deal": Deal("x", "won", 9000, "EUR", "Mara")}, "money is asked back of a deal of 9,000"),
        ("hello", {"thread": (Earlier("a", "ada@letters.example", "", "", ""),) * 2}, "they have written 3 times"),
        ("hello", {"missing": ("contact",)}, "the CRM could not say who they are"),
    ],
)
def test_what_a_person_looks_at_first(body: str, known: dict[str, object], reason: str) -> None:
    decision = decided(mail(body), **known)
    assert decision.verdict == "review"
    assert decision.reason.startswith(reason)


@pytest.mark.parametrize(
    ("body", "known"),
    [
        ("This is unacceptable.", {}),
        ("You owe me EUR 49.99 for order 70000", {}),
        ("I want a refund", {"deal": Deal("x", "won", 200, "EUR", "Mara")}),
        ("hello", {"thread": (Earlier("a", "desk@shop.example", "", "", ""),) * 5}),
        ("hello", {"missing": ("deal", "updates", "thread")}),
        ("ok\n> I am cancelling my account", {}),
    ],
)
def test_what_no_person_needs_to_see(body: str, known: dict[str, object]) -> None:
    assert decided(mail(body), **known) == Decision("mode", "")


# What the sub-agents found out


def test_the_draft_tells_what_is_noted_of_the_order_and_nothing_else() -> None:
    message = mail("Where is order 48213?")
    noted = (Update("2025-03-01", "48213", "handed to the carrier"), Update("2025-03-02", "11111", "lost"))
    around = replace(sorting.read(message), updates=noted, deal=Deal("x", "won", 1, "EUR", "Mara Lind"))
    answer = drafting.draft(message, NORMAL, around)
    assert "Of 2025-03-01 we have noted: handed to the carrier.\n" in answer.body
    assert "Mara Lind looks after you here." in answer.body
    assert "lost" not in answer.body
    assert "within two working days" in answer.body
    assert not checking.fact(message, around, answer)


def test_a_draft_promises_less_while_something_is_missing() -> None:
    message = mail("Where is order 48213?")
    noted = (Update("2025-03-01", "48213", "handed to the carrier"),)
    around = replace(sorting.read(message), updates=noted, missing=("deal",))
    answer = drafting.draft(message, NORMAL, around)
    assert "as soon as we have looked into it" in answer.body
    assert "working days" not in answer.body
    assert "noted" not in answer.body


def test_the_name_comes_from_the_crm_where_the_message_has_none() -> None:
    message = parse(b"From: a@b.example\n\nhello\n")
    around = replace(sorting.read(message), contact=Contact("Bo Berg", "Berg", False))
    answer = drafting.draft(message, NORMAL, around)
    assert answer.body.startswith("Hello Bo Berg,\n")
    assert not checking.fact(message, around, answer)


@pytest.mark.parametrize(
    ("words", "flaw"),
    [
        ("We refund you 250 EUR.", "amount"),
        ("See https://evil.example/pay now.", "link"),
        ("It comes on 2025-12-24.", "date"),
        ("Your order 99999 is here.", "order"),
    ],
)
def test_facts_that_nobody_told_are_found_whoever_writes_them(words: str, flaw: str) -> None:
    message = mail("Where is order 48213, for 120 EUR, of 2025-01-02?")
    around = sorting.read(message)
    known = "Order 48213 of 2025-01-02 for 120 EUR."
    sound = drafting.framed(message, around, f"Hello Ada,\n\n{known}\n\n{checking.CLOSING}", 0)
    assert not checking.fact(message, around, sound)
    false = drafting.framed(message, around, f"Hello Ada,\n\n{known} {words}\n\n{checking.CLOSING}", 0)
    assert [complaint.flaw for complaint in checking.fact(message, around, false)] == [flaw]


def test_what_they_told_earlier_in_the_conversation_is_known() -> None:
    message = mail("Any news?")
    told = Earlier("a", "ada@letters.example", "2025-02-01", "Order 48213", "It was 120 EUR.")
    around = sorting.read(message)
    body = f"Hello Ada,\n\nOf 2025-02-01: order 48213, 120 EUR.\n\n{checking.CLOSING}"
    assert len(checking.fact(message, around, drafting.framed(message, around, body, 0))) == 3
    around = replace(around, thread=(told,))
    assert not checking.fact(message, around, drafting.framed(message, around, body, 0))
    around = replace(around, thread=(replace(told, sender="eve@letters.example"),))
    found = checking.fact(message, around, drafting.framed(message, around, body, 0))
    assert [complaint.flaw for complaint in found] == ["order", "amount"]


@pytest.mark.parametrize(
    ("text", "sums"),
    [
        ("€ 1,234.50 and 99 EUR", [1234, 99]),
        ("12 500 € or CHF 1'000", [12500, 1000]),
        ("1.000.000 dollars", [1_000_000]),
        ("order 48213, 3 lamps", []),
        ("9" * 50_000 + " EUR", []),
    ],
)
def test_sums_of_money(text: str, sums: list[int]) -> None:
    assert checking.amounts_in(text) == sums


def test_a_conversation_is_called_after_its_first_message() -> None:
    for message, name in (
        (mail(References="<a@x> <b@x>"), "a@x"),
        (mail(), "m1@letters.example"),
        (one := parse(b"From: a@b.example\n\nhello\n"), one.key),
    ):
        assert sorting.conversation(sorting.read(message), message) == name


# The sample


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("angry-vip", ""),
        ("bounce", "an automatic message"),
        ("broken-no-sender", "no sender"),
        ("html-only", ""),
        ("latin1-base64", ""),
        ("leaving", "they threaten to leave"),
        ("legal", "for the legal department"),
        ("malformed-but-readable", ""),
        ("newsletter", "a newsletter"),
        ("old-order-in-history", ""),
        ("order-question", ""),
        ("order-question-copy", ""),
        ("shouting", ""),
        ("thread-reply", ""),
    ],
)
def test_the_sample_shows_every_end(name: str, outcome: str) -> None:
    raw = (SAMPLE / f"{name}.eml").read_bytes()
    try:
        reason = take(parse(raw))[3].reason
    except NotUnderstood as error:
        reason = str(error)
    assert reason.startswith(outcome)
    assert bool(reason) == bool(outcome)


def test_the_sample_is_complete() -> None:
    raws = [path.read_bytes() for path in SAMPLE.glob("*.eml")]
    assert len(raws) == 14
    assert len({run_id(raw) for raw in raws}) == 13
    sent_back = [raw for raw in raws if b"sender)" not in raw and take(parse(raw))[1]]
    assert len(sent_back) == 3
