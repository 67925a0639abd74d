"""Folders: each message is one file, whole or not there, whatever its id is."""

import asyncio
import email
import email.policy
import os
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.services.outbox.outgoing import Channel, DeliveryFailed
from tests.outbox.kit import channel_of, outgoing


def made(tmp_path: Path) -> Channel:
    return channel_of(tmp_path, '[channels.pages]\ntype = "file"\nfolder = "out/deep"')


async def test_a_message_is_a_file_and_a_mail_is_one_that_mail_programs_read(tmp_path: Path) -> None:
    channel = made(tmp_path)
    assert await channel.send(outgoing({"text": "ü"}, "a/b")) == "a%2Fb.json"
    mail = hf.Mail(to="ann@b.example", subject="Größe", text="x")
    assert await channel.send(outgoing(mail, "m")) == "m.eml"
    assert await channel.send(outgoing("draft", "m", draft=True)) == "m.draft.json"
    out = tmp_path / "out" / "deep"
    assert (out / "a%2Fb.json").read_bytes() == '{"text":"ü"}'.encode()
    found = email.message_from_bytes((out / "m.eml").read_bytes(), policy=email.policy.default)
    assert (found["To"], found["Subject"].strip(), found["X-Holdfast-Message-Id"]) == ("ann@b.example", "Größe", "m")
    assert (out / "m.draft.json").read_text() == '"draft"'
    assert len(list(out.iterdir())) == 3


async def test_the_same_id_twice_is_one_file(tmp_path: Path) -> None:
    channel = made(tmp_path)
    names = await asyncio.gather(*(channel.send(outgoing({"n": 1}, "same")) for _ in range(20)))
    assert set(names) == {"same.json"}
    assert [path.name for path in (tmp_path / "out/deep").iterdir()] == ["same.json"]


IDS = [
    "..", ".", ".hidden", "../../up", "a b ", "a", "A%2F", "A/", "ö", "x" * 512, "x" * 511 + "y", "/" * 512, "a\nb",
    "a\\b", "C:con", "*?", "a+b", "acme+b",
]  # fmt: skip


async def test_each_id_of_each_tenant_is_a_file_of_its_own_in_the_folder(tmp_path: Path) -> None:
    channel = made(tmp_path)
    made_names = [
        await channel.send(outgoing(f"{tenant} {id}", id, tenant=tenant))
        for tenant in ("default", "acme")
        for id in IDS
    ]
    assert len(set(made_names)) == 2 * len(IDS)
    out = tmp_path / "out/deep"
    assert {path.name for path in out.iterdir()} == set(made_names)
    assert not any(name.startswith(".") or len(name.encode()) > 220 for name in made_names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["channels.toml", "out"]


async def test_a_file_that_cannot_be_written_is_not_there_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = made(tmp_path)
    real = os.fsync

    def full(fd: int) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DeliveryFailed, match="it cannot be written: No space left on device") as caught:
        await channel.send(outgoing("x"))
    assert not caught.value.final
    monkeypatch.setattr(os, "fsync", real)
    assert list((tmp_path / "out/deep").iterdir()) == []
    (tmp_path / "out/deep").rmdir()
    (tmp_path / "out").rmdir()
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(DeliveryFailed, match="it cannot be written"):
        await channel.send(outgoing("x"))
