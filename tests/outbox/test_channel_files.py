"""The file of channels: what it says, and what is wrong in it, which is told with the line."""

import re
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.model.phases import Approval, Rate
from holdfast.services.outbox.channel_files import COMMON, KEYS, NEEDED, read_channels
from holdfast.services.outbox.terms import CONCURRENCY, Apprise, Folder, Smtp, Webhook

GOOD = """\
[channels.replies]
type = "smtp"
host = "mail.shop.example"
port = 587
user = "desk"
password = "env:SMTP_PASSWORD"
sender = "Desk <desk@shop.example>"
to = ["ops@shop.example"]
drafts = "box"
rate = "60/1m"
burst = 5
concurrency = 2
attempts = 9
backoff = { initial = "1s", factor = 3, maximum = "1h" }
timeout = "20s"
resend = true
review = { group = "desk", due = "1d", escalate_to = ["boss"] }

[channels.crm]
type = "webhook"
url = "https://crm.example/messages"
secret = "file:/run/secrets/crm"
accept = "status == 200 && body.ok == true"
headers = { Authorization = "env:CRM_TOKEN", X-Team = "desk" }

[channels.box]
type = "file"
folder = "drafts"

[channels.ops]
type = "apprise"
url = "env:OPS_URL"
"""


def read(tmp_path: Path, text: str) -> object:
    path = tmp_path / "channels.toml"
    path.write_text(text)
    return read_channels(path)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "channels.toml"
    path.write_text(GOOD)
    channels = read_channels(path)
    replies, crm, box, ops = (channels[name] for name in ("replies", "crm", "box", "ops"))
    assert isinstance(replies.means, Smtp)
    assert (replies.means.host, replies.means.port, replies.means.security) == ("mail.shop.example", 587, "starttls")
    assert str(replies.means.password) == "env:SMTP_PASSWORD"
    assert (replies.rate, replies.concurrency, replies.timeout_seconds) == (Rate(60, 60.0, 5), 2, 20.0)
    assert (replies.retry.max_attempts, replies.retry.initial, replies.retry.maximum) == (9, 1.0, 3600.0)
    assert replies.review == Approval(None, "desk", 86_400.0, ("boss",))
    assert (replies.drafts, replies.resend) == ("box", True)
    assert isinstance(crm.means, Webhook)
    assert crm.means.accept is not None
    assert {name: str(value) for name, value in crm.means.headers.items()} == {
        "Authorization": "env:CRM_TOKEN",
        "X-Team": "desk",
    }
    assert box.means == Folder(tmp_path / "drafts"), "a folder is found from the file"
    assert isinstance(ops.means, Apprise)
    assert (crm.resend, box.resend, ops.resend) == (True, True, False)
    assert [channels[name].concurrency for name in ("crm", "box", "ops")] == [100, 16, 4]
    assert (crm.retry.max_attempts, crm.rate, crm.timeout_seconds) == (8, None, 30.0)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('type = "smtp"', 'type = "smpt"', 2, "type is 'smpt'; did you mean 'smtp'?"),
        ('type = "smtp"\n', "", 1, "channel 'replies' has no type"),
        ('host = "mail.shop.example"\n', "", 1, "channel 'replies' has no host"),
        ('host = "mail.shop.example"', 'host = "mail shop"', 3, "give the name of a machine"),
        ("port = 587", 'port = "587"', 4, "give a whole number, 1 to 65,535"),
        ('user = "desk"\n', "", 5, "password is there and user is not"),
        ('"env:SMTP_PASSWORD"', '"hunter2"', 6, "password is not given as env:NAME or file:PATH"),
        ("Desk <desk@shop.example>", "desk", 7, "give an address"),
        ('["ops@shop.example"]', '["ops@shop.example", "ops"]', 8, "give an address"),
        ('drafts = "box"', 'drafts = "bax"', 9, "which is no channel of this file; did you mean 'box'?"),
        ('drafts = "box"', 'drafts = "replies"', 9, "drafts is the channel itself"),
        ('"60/1m"', '"sixty"', 10, 'such as "60/1m"'),
        ('rate = "60/1m"\n', "", 10, "burst has no rate beside it"),
        ("concurrency = 2", "concurrency = 0", 12, "give a whole number, 1 to"),
        ("factor = 3", "factr = 3", 14, "backoff.factr is no key; did you mean factor?"),
        ('initial = "1s"', 'initial = "2h"', 14, "shorter than its initial pause"),
        ('"20s"', '"11m"', 15, "timeout is longer than 600 s"),
        ("resend = true", "resend = 1", 16, "give true or false"),
        ('group = "desk"', 'group = "desk", assignee = "ann"', 17, "an assignee and a group"),
        ("timeout = ", "timeuot = ", 15, "'timeuot' of a channel of type 'smtp' is no key; did you mean timeout?"),
        ("https://crm", "ftp://crm", 21, "is no address"),
        ("https://crm", "https://me:hunter2@crm", 21, "holds a password"),
        ("status == 200", "stat == 200", 23, "stat is not known here"),
        ("status == 200", "status = 200", 23, "write == instead of ="),
        ('"env:CRM_TOKEN"', '"Bearer hunter2"', 24, "Authorization is not given as env:NAME or file:PATH"),
        ("X-Team", "Idempotency-Key", 24, "is set by what sends"),
        ('X-Team = "desk"', 'X-Team = "de\\nsk"', 24, "on one line"),
        ('folder = "drafts"', "folder = 3", 28, "folder is 3; give a text"),
        ('"env:OPS_URL"', '"slack://hunter2"', 32, "url is not given as env:NAME or file:PATH"),
        ("[channels.ops]", "[chanels.ops]", 30, "'chanels' is no key; did you mean channels?"),
        ("[channels.ops]", "[channels.ops", 30, "is no TOML that can be read"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    with pytest.raises(hf.UsageError, match=rf"channels\.toml, line {line}: ") as caught:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value), "what stands in place of a reference may be a secret"


def test_a_password_is_not_sent_where_others_can_read_it(tmp_path: Path) -> None:
    plain = GOOD.replace("port = 587", 'security = "none"')
    with pytest.raises(hf.UsageError, match="line 4: security is 'none'"):
        read(tmp_path, plain)
    read(tmp_path, plain.replace("mail.shop.example", "127.0.0.1"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no channel"),
        ("channels = 3", "line 1: there is no channel"),
        ("[channels]\nops = 1", "is no table"),
    ],
)
def test_a_file_without_channels_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(hf.UsageError, match=said):
        read(tmp_path, text)


def test_a_worker_reads_its_file_when_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(hf.UsageError, match=r"none\.toml.*cannot be read: No such file"):
        hf.Worker("memory://", [], channels=tmp_path / "none.toml")


PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "channels.md").read_text("utf-8")


@pytest.mark.parametrize("key", sorted({*COMMON, *(key for keys in KEYS.values() for key in keys)}))
def test_every_key_is_on_its_page(key: str) -> None:
    assert re.search(rf"^\| `{key}` \|", PAGE, re.MULTILINE), f"docs/reference/channels.md says nothing of {key}"


def test_the_page_names_every_type_with_what_it_needs() -> None:
    for kind, needed in NEEDED.items():
        part = re.search(rf"^## `{kind}`.*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
        assert part, kind
        for key in KEYS[kind]:
            row = re.search(rf"^\| `{key}` \|([^|]*\|){{2}}", part[0], re.MULTILINE)
            assert row, f"{kind}: {key}"
            assert ("needed" in row[0]) == (key in needed), f"{kind}: {key}"
        assert f"`{CONCURRENCY[kind]}`" in part[0] or f"`{CONCURRENCY[kind]}`" in PAGE
