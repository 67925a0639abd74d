"""JSON on the command line, exit codes, and what is printed where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.cli.inputs import json_object
from holdfast.errors import UsageError
from tests.cli.tool import call, inside


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": }', "at line 1, column 7"),
        ('{"a": 1,\n "b": }', r"at line 2, column 7, near ' \"b\": }'"),
        ("", "at line 1, column 1"),
        ("[1]", "--input is a list; give a JSON object"),
        ('"text"', "--input is a text"),
        ("null", "--input is null"),
        ("3", "--input is the number 3"),
        ('{"a": NaN}', "NaN is not a JSON value"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ("@absent.json", "absent.json cannot be read: No such file or directory"),
    ],
)
def test_bad_json_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        json_object(text, "--input")
    assert said.replace('\\"', '"') in str(caught.value)


def test_json_comes_from_a_file_and_from_standard_input(shop: Path) -> None:
    (shop / "order.json").write_text('{"order_id": "ö-1"}', "utf-8")
    assert inside("run", "shop:remind", "--input", "@order.json")[0].endswith('"ö-1"\n')
    assert inside("run", "shop:remind", "--input", "-", given='{"order_id": "o-2"}')[0].endswith('"o-2"\n')
    assert "write --input @order.json" in inside("run", "shop:remind", "--input", "order.json", code=2)[1]
    (shop / "order.json").write_bytes(b'{"order_id": "\xff"}')
    assert "not UTF-8 text (byte 14)" in inside("run", "shop:remind", "--input", "@order.json", code=2)[1]


def test_run_prints_the_result_or_the_error(shop: Path) -> None:
    stdout, _ = inside("run", "shop:checkout", "--input", '{"order_id": "o-1", "cents": 5}', "--id", "mine", "--json")
    assert json.loads(stdout) == {
        "id": "mine", "workflow": "checkout", "status": "succeeded",
        "result": {"receipt": "receipt o-1-5", "parcel": "parcel o-1"},
    }  # fmt: skip
    stdout, stderr = inside("run", "shop:checkout", "--input", '{"order_id": "o-1", "cents": -5}', code=1)
    assert (stdout, "Fatal: cannot charge -5" in stderr) == ("", True)
    assert "missing 'order_id'" in inside("run", "shop:checkout", code=2)[1]
    assert "name the workflow to run: shop:checkout, shop:remind" in inside("run", "shop", code=2)[1]


def test_run_keeps_a_run_only_where_the_flag_says(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_URL", "sqlite:///variable.db")
    inside("run", "shop:remind")
    assert not (shop / "variable.db").exists()
    inside("run", "shop:remind", "--id", "kept", "--url", "sqlite:///flag.db")
    assert (
        json.loads(inside("runs", "show", "kept", "--url", "sqlite:///flag.db", "--json")[0])["run"]["output"] == "o-0"
    )


def test_a_missing_database_is_not_made_by_looking(shop: Path) -> None:
    for arguments in (["runs", "list"], ["runs", "show", "x"], ["runs", "watch", "x"], ["db", "status"]):
        stdout, _ = inside(*arguments, "--url", "sqlite:///absent.db", "--json", code=3)
        assert json.loads(stdout)["error"]["type"] == "Missing"
    assert not (shop / "absent.db").exists()


def test_wrong_arguments_end_with_2(shop: Path) -> None:
    url = ("--url", "sqlite:///some.db")
    inside("db", "migrate", *url)
    assert "status is 'done'; it is one of queued" in inside("runs", "list", "--status", "done", *url, code=2)[1]
    assert "limit is 0" in inside("runs", "list", "--limit", "0", *url, code=2)[1]
    assert "leave them out" in inside("runs", "watch", "x", "--workflow", "w", *url, code=2)[1]
    assert "--timeout limits --wait" in inside("start", "x", "--timeout", "1s", *url, code=2)[1]
    assert "priority is 5000" in inside("start", "x", "--patience", "0", "--priority", "5000", *url, code=2)[1]
    assert "has no store for 'mysql'" in inside("runs", "list", "--url", "mysql://x:secret@y/z", code=2)[1]
    assert "no database is named" in inside("runs", "list", code=2)[1]


def test_control_characters_do_not_reach_the_terminal(shop: Path) -> None:
    inside("run", "shop:remind", "--id", "red\x1b[31m", "--url", "sqlite:///some.db")
    stdout, _ = inside("runs", "list", "--url", "sqlite:///some.db")
    assert "\x1b" not in stdout
    assert "red\\x1b[31m" in stdout


@pytest.mark.slow
def test_the_command_itself(shop: Path) -> None:
    assert call(shop, "--version").stdout == "holdfast 0.1.0\n"
    for group in ("", "runs", "db", "config"):
        assert "Usage: holdfast" in call(shop, *group.split(), "--help").stdout
    assert "No such command 'bogus'" in call(shop, "bogus", code=2).stderr
    missing = json.loads(call(shop, "start", "--json", code=2).stdout)
    assert missing["error"]["type"] == "UsageError"
    assert "No such option" in call(shop, "runs", "list", "--bogus", code=2).stderr
