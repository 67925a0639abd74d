"""Dialogues in files: the same from TOML, YAML and JSON, and what is wrong is told with file, line and reason."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.conversations.definition_files import FILE_BYTES, read_dialogue
from holdfast.conversations.json_places import read_json
from holdfast.conversations.yaml_places import read_yaml
from holdfast.errors import RuleError, UsageError

TOML = '''\
# Renewals.
[conversation]
id = "renewal"
instructions = """
You are friendly.
id = "none of this counts"
"""

[[steps]]
id = "company"
ask = "Which company?"
collects = { company = "text", employees = { type = "integer", minimum = 1, optional = true } }
next = [
    { step = "contract", when = "collected.employees > 10" },
    { step = "confirm" },
]

[[steps]]
id = "contract"

[steps.collects]
renews_on = "date"

[steps.collects.kind]
type = "choice"
choices = ["no", "yes"]

[[steps]]
id = "confirm"
collects.confirmed = "boolean"
complete_when = "collected.confirmed"
final = true
'''
YAML = """\
# Renewals.
conversation:
  id: renewal
  instructions: |
    You are friendly.
    id = "none of this counts"

steps:
  - id: company
    ask: Which company?
    collects:
      company: text
      employees: {type: integer, minimum: 1, optional: true}
    next:
      - {step: contract, when: collected.employees > 10}
      - step: confirm

  - id: contract
    collects:
      renews_on: date
      kind:
        type: choice
        choices: [no, 'yes']

  - id: confirm
    collects: {confirmed: boolean}
    complete_when: collected.confirmed
    final: true
"""
JSON = r"""
{
  "conversation": {
    "id": "renewal",
    "instructions": "You are friendly.\nid = \"none of this counts\"\n"
  },
  "steps": [
    {
      "id": "company",
      "ask": "Which company?",
      "collects": {
        "company": "text",
        "employees": {"type": "integer", "minimum": 1, "optional": true}
      },
      "next": [
        {"step": "contract", "when": "collected.employees > 10"},
        {"step": "confirm"}
      ]
    },
    {
      "id": "contract",
      "collects": {
        "renews_on": "date",
        "kind": {
          "type": "choice",
          "choices": ["no", "yes"]
        }
      }
    },
    {
      "id": "confirm",
      "collects": {"confirmed": "boolean"},
      "complete_when": "collected.confirmed",
      "final": true
    }
  ]
}
"""
TEXTS = {"toml": TOML, "yaml": YAML, "json": JSON}


def write(folder: Path, ending: str, content: str | bytes) -> Path:
    path = folder / f"dialogue.{ending}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: str | Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_dialogue(path)
    return str(caught.value)


def test_the_three_formats_say_the_same(tmp_path: Path) -> None:
    found = [read_dialogue(write(tmp_path, ending, text)) for ending, text in TEXTS.items()]
    assert found[0] == found[1] == found[2]
    assert len({one.version for one in found}) == 1
    assert found[0].instructions == 'You are friendly.\nid = "none of this counts"\n'
    assert found[0].fields["kind"].choices == ("no", "yes")
    assert read_dialogue(str(write(tmp_path, "yml", YAML))) == found[0]
    assert read_dialogue(write(tmp_path, "JSON", JSON)) == found[0]


def test_a_byte_order_mark_and_other_line_ends_are_taken(tmp_path: Path) -> None:
    for ending, text in TEXTS.items():
        plain = read_dialogue(write(tmp_path, ending, text))
        assert read_dialogue(write(tmp_path, ending, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())) == plain


@pytest.mark.parametrize(
    ("ending", "old", "new", "line", "told"),
    [
        ("toml", 'company = "text"', 'company = "txt"', 12, "steps[0].collects.company is 'txt'; did you mean text?"),
        ("yaml", "company: text", "company: txt", 12, "steps[0].collects.company is 'txt'; did you mean text?"),
        ("json", '"company": "text"', '"company": "txt"', 12, "steps[0].collects.company is 'txt'; did you mean text?"),
        ("toml", 'renews_on = "date"', 'renews_on = "day"', 22, "steps[1].collects.renews_on is 'day'"),
        ("yaml", "renews_on: date", "renews_on: day", 20, "steps[1].collects.renews_on is 'day'"),
        ("json", '"renews_on": "date"', '"renews_on": "day"', 23, "steps[1].collects.renews_on is 'day'"),
        ("toml", '["no", "yes"]', '["no", "no"]', 26, "steps[1].collects.kind.choices[1] is 'no', as one before it"),
        ("yaml", "[no, 'yes']", "\n        - no\n        - no", 25, "kind.choices[1] is 'no', as one before it"),
        ("json", '["no", "yes"]', '[\n"no",\n"no"]', 28, "kind.choices[1] is 'no', as one before it"),
        ("toml", 'id = "contract"', 'id = "company"', 19, "steps[1].id is 'company', as that of a step before it"),
        ("yaml", "- id: contract", "- id: company", 18, "steps[1].id is 'company', as that of a step before it"),
        ("json", '"id": "contract"', '"id": "company"', 21, "steps[1].id is 'company', as that of a step before it"),
        ("toml", "collects.confirmed", "collects.company", 30, "collects.company is collected by step 'company'"),
        ("yaml", "confirmed: boolean", "company: boolean", 26, "collects.company is collected by step 'company'"),
        ("json", '"confirmed": "bool', '"company": "bool', 32, "collects.company is collected by step 'company'"),
        ("toml", '{ step = "confirm" }', '{ step = "confrim" }', 13, "next[1].step is 'confrim', and there is no such"),
        ("yaml", "step: confirm", "step: confrim", 16, "steps[0].next[1].step is 'confrim', and there is no such"),
        ("json", '"step": "confirm"', '"step": "confrim"', 17, "next[1].step is 'confrim', and there is no such"),
        ("toml", "final = true", 'next = "company"', 32, "steps[2].next goes round in a circle: company, then"),
        ("yaml", "final: true", "next: company", 28, "steps[2].next goes round in a circle: company, then"),
        ("json", '"final": true', '"next": "company"', 34, "steps[2].next goes round in a circle: company, then"),
        ("toml", 'step = "contract"', 'step = "confirm"', 18, "is step 'contract', which can never be reached"),
        ("yaml", "step: contract", "step: confirm", 18, "is step 'contract', which can never be reached"),
        ("json", '"step": "contract"', '"step": "confirm"', 20, "is step 'contract', which can never be reached"),
        ("toml", '[[steps]]\nid = "contract"', "[[steps]]", 18, "steps[1] has no id; give one"),
        ("yaml", "- id: contract\n    collects", "- collects", 18, "steps[1] has no id; give one"),
        ("json", '      "id": "contract",\n', "", 20, "steps[1] has no id; give one"),
        ("toml", "final = true", "finall = true", 32, "steps[2].finall is no field; did you mean final?"),
        ("yaml", "final: true", "finall: true", 28, "steps[2].finall is no field; did you mean final?"),
        ("json", '"final": true', '"finall": true', 34, "steps[2].finall is no field; did you mean final?"),
        ("toml", "final = true", "final = 1", 32, "steps[2].final is 1; give true or false"),
        ("yaml", "final: true", "final: yes", 28, "steps[2].final is 'yes'; give true or false"),
        ("json", '"final": true', '"final": null', 34, "steps[2].final is null; give true or false"),
        ("toml", "[[steps]]", "[[stepz]]", 9, "stepz is no field; did you mean steps?"),
        ("yaml", "steps:", "stepz:", 8, "stepz is no field; did you mean steps?"),
        ("json", '"steps":', '"stepz":', 7, "stepz is no field; did you mean steps?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, ending: str, old: str, new: str, line: int, told: str
) -> None:
    assert old in TEXTS[ending]
    path = write(tmp_path, ending, TEXTS[ending].replace(old, new))
    assert refusal(path).startswith(f"{path}, line {line}: ")
    assert told in refusal(path)


@pytest.mark.parametrize(
    ("ending", "line"),
    [("toml", 31), ("yaml", 27), ("json", 33)],
)
@pytest.mark.parametrize(
    ("rule", "told"),
    [("collected.", "expected a name behind"), ("collected.confirm", "collects confirm; did you mean confirmed?")],
)  # fmt: skip
def test_a_wrong_rule_is_told_with_its_line(tmp_path: Path, ending: str, line: int, rule: str, told: str) -> None:
    text = TEXTS[ending].replace("collected.confirmed", rule)
    path = write(tmp_path, ending, text)
    with pytest.raises(RuleError) as caught:
        read_dialogue(path)
    assert str(caught.value).startswith(f"{path}, line {line}: conversation 'renewal': steps[2].complete_when: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("ending", "text", "line", "told"),
    [
        ("toml", "[conversation]\nid = \n", 2, "is no TOML that can be read: Invalid value (column 6)"),
        ("toml", '[conversation]\nid = "a"\nid = "b"\n', 3, "is no TOML that can be read: Cannot overwrite a value"),
        ("toml", 'a = 1\nb = """\n\n', 3, "is no TOML that can be read: Unterminated string (at end of document)"),
        ("yaml", "a: 1\nb: [1\nc: 2\n", 3, "is no YAML that can be read: "),
        ("yaml", "a: 1\n\tb: 2\n", 2, "is no YAML that can be read: "),
        ("yaml", "a: 1\nb: 2\na: 3\n", 3, "is no YAML that can be read: the key 'a' is there twice"),
        ("yaml", "a: 1\n2: 2\n", 2, "the key 2 is no text; put it into quotes"),
        ("yaml", "a: 1\n[b]: 2\n", 2, "a list or table is no key; give a text"),
        ("yaml", "a: 1\nb: &b [1]\n", 2, "&b is an anchor; leave it out"),
        ("yaml", "a: 1\nb: *a\n", 2, "*a stands for what is written elsewhere; write it out"),
        ("yaml", "a: 1\nb: !!python/name:os.system x\n", 2, "tag:yaml.org,2002:python/name:os.system is a tag"),
        ("yaml", "a: 1\n---\nb: 2\n", 2, "a second document begins here; give one"),
        ("yaml", "a: 1\nb: " + "[" * 60 + "\n", 2, "it is nested too deeply"),
        ("yaml", "a: 1\nb: " + "9" * 5000 + "\n", 2, "this number has thousands of digits"),
        ("json", '{"a": 1,\n"b": }\n', 2, "is no JSON that can be read: Expecting value (column 6)"),
        ("json", '{"a": 1,\n\n"b": 2,\n"a": 3}', 4, "is no JSON that can be read: the key 'a' is there twice"),
        ("json", '{"a": [\n1, 2], "b": [\n{},\nNaN]}', 4, "is no JSON that can be read: NaN is no JSON"),
        ("json", '{"a":\n-Infinity}', 2, "-Infinity is no JSON"),
        ("json", '{"a":\n' + "[" * 60 + "]" * 60 + "}", 2, "it is nested too deeply"),
        *((ending, "a\n\nb\0c", 3, "holds the NUL character; leave it out") for ending in TEXTS),
        *((ending, "", 1, "is empty; give a table conversation") for ending in TEXTS),
        *((ending, " \n\n", 1, "is empty; give a table conversation") for ending in TEXTS),
        *((ending, b"# a\n\xff\n", 2, "is not UTF-8: byte 4 is 0xff") for ending in TEXTS),
        *((ending, TOML.encode("utf-16"), 1, "is not UTF-8: byte 0 is 0xff") for ending in TEXTS),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_line(
    tmp_path: Path, ending: str, text: str | bytes, line: int, told: str
) -> None:
    path = write(tmp_path, ending, text)
    assert refusal(path).startswith(f"{path}, line {line}: ")
    assert told in refusal(path)


@pytest.mark.parametrize("ending", TEXTS)
def test_a_text_nested_without_end_is_refused(tmp_path: Path, ending: str) -> None:
    start = {"toml": "a = ", "yaml": "a: ", "json": ""}[ending]
    path = write(tmp_path, ending, start + "[" * 300_000)
    assert refusal(path).startswith(str(path))
    assert "nest" in refusal(path)


@pytest.mark.parametrize(("ending", "text"), [("toml", "a = "), ("json", "")])
def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path, ending: str, text: str) -> None:
    path = write(tmp_path, ending, text + "9" * 5000)
    assert refusal(path).startswith(f"{path}: is no {ending.upper()} that can be read: ")


@pytest.mark.parametrize(("ending", "text"), [("toml", "# nothing\n"), ("yaml", "# nothing\n"), ("json", "{}")])
def test_a_file_that_says_nothing_is_refused(tmp_path: Path, ending: str, text: str) -> None:
    path = write(tmp_path, ending, text)
    assert refusal(path).startswith(str(path))
    assert "is empty; give a table conversation with its id, and a list of steps" in refusal(path)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "toml", TOML + "#" * (FILE_BYTES - len(TOML)))
    assert read_dialogue(path).id == "renewal"
    path = write(tmp_path, "toml", TOML + "#" * (FILE_BYTES - len(TOML) + 1))
    assert refusal(path) == f"file {path} is larger than 1,048,576 bytes; a dialogue takes less"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    assert refusal(tmp_path / "folder.toml") == f"file '{tmp_path}/folder.toml' cannot be read: Is a directory"
    assert refusal(tmp_path / "none.yaml") == f"file '{tmp_path}/none.yaml' cannot be read: No such file or directory"
    assert "cannot be read: " in refusal(f"{tmp_path}/a\0b.toml")
    assert "is of no format that is known; name it .toml, .yaml, .yml or .json" in refusal(tmp_path / "dialogue.txt")
    wrong: Any = {"conversation": {}}
    assert refusal(wrong).startswith("the dialogue is {'conversation': {}}; give a Dialogue, or the path of a file")


def test_without_its_library_yaml_is_refused_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = write(tmp_path, "yaml", YAML)
    assert refusal(path) == f"{path}: YAML is read by a library: pip install 'holdfast[yaml]', or write TOML or JSON"
    assert read_dialogue(write(tmp_path, "toml", TOML)) == read_dialogue(write(tmp_path, "json", JSON))


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("7", 7), ("-0", 0), ("1.5", 1.5),
        (".5e3", 500.0), ("010", 10), ("no", "no"), ("on", "on"), ("1:30", "1:30"), ("2026-01-31", "2026-01-31"),
        ("0x1f", "0x1f"), (".inf", ".inf"), ("'7'", "7"), ('"true"', "true"), ("1_000", "1_000"), ("<<", "<<"),
    ],
)  # fmt: skip
def test_yaml_means_what_its_newer_edition_says(said: str, value: Any) -> None:
    document, lines = read_yaml(f"a:\n- {said}\n")
    assert document == {"a": [value]}
    assert type(document["a"][0]) is type(value)
    assert lines == {(): 1, ("a",): 1, ("a", 0): 2}


def test_every_value_of_a_json_text_has_its_line() -> None:
    document, lines = read_json('\n{"a":\n [\n1,"]\\"",\n\n {"b": {}, "c": [\n]} ],\n"d\\n": "\\\\"\n}')
    assert document == {"a": [1, ']"', {"b": {}, "c": []}], "d\n": "\\"}
    assert lines == {
        (): 2, ("a",): 2, ("a", 0): 4, ("a", 1): 4, ("a", 2): 6, ("a", 2, "b"): 6, ("a", 2, "c"): 6, ("d\n",): 8,
    }  # fmt: skip
