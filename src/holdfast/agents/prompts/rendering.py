"""Prompts: templates filled with what a run knows, and sections left out until they fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, TemplateSyntaxError

from holdfast.agents.prompts import bounds
from holdfast.agents.prompts.sections import Part, Torn, drop_until, parts_of
from holdfast.agents.prompts.templates import Language
from holdfast.agents.prompts.tokens import tokens_in
from holdfast.errors import UsageError
from holdfast.model.phases import Phase, PhaseFile

MOST_BYTES = 4 * 1024 * 1024
"""The largest prompt."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt as a model is asked it.

    Attributes:
        system: the model's instructions; None for none.
        prompt: the text.
        tokens: of both together, estimated.
        dropped: sections that were left out for it to fit, in the order in which they went.
    """

    system: str | None
    prompt: str
    tokens: int
    dropped: tuple[str, ...]


class Prompter:
    """Makes the prompts of a version of a file of phases. Each template is compiled once, when it is first needed."""

    def __init__(self, file: PhaseFile) -> None:
        self._texts = dict(file.templates)
        for phase in file.phases.values():
            self._texts[prompt_name(phase.name)] = phase.prompt
            if phase.system is not None:
                self._texts[system_name(phase.name)] = phase.system
        self._language = Language(self._texts)
        self._compiled: dict[str, tuple[Template, Template | None]] = {}

    def render(self, phase: Phase, variables: Mapping[str, Any]) -> Rendered:
        """The prompt of a phase.

        Args:
            phase: of the file.
            variables: what its templates may name.

        Raises:
            UsageError: a name is missing, or something else goes wrong in a template: says in which, at which line;
                or the prompt does not fit its ``input_tokens`` even with all sections left out: says its size.
        """
        templates = self._compiled.get(phase.name) or self._compile(phase)
        prompt, sections = _parts(templates[0], variables, phase)
        system: Part | None = None
        if templates[1] is not None:
            system, others = _parts(templates[1], variables, phase)
            sections = [*others, *sections]
        instructions = system or Part()

        def tokens() -> int:
            return tokens_in(instructions.size_bytes) + tokens_in(prompt.size_bytes)

        most = phase.input_tokens
        dropped = []
        if most is not None and tokens() > most:
            dropped = drop_until(sections, lambda: tokens() <= most)
            if tokens() > most:
                _does_not_fit(phase, tokens(), most, dropped)
        if instructions.size_bytes + prompt.size_bytes > MOST_BYTES:
            size = instructions.size_bytes + prompt.size_bytes
            raise UsageError(f"the prompt of phase {phase.name} takes {size:,} bytes; at most {MOST_BYTES:,} are sent")
        return Rendered(None if system is None else system.text(), prompt.text(), tokens(), tuple(dropped))

    def _compile(self, phase: Phase) -> tuple[Template, Template | None]:
        try:
            prompt = self._language.get_template(prompt_name(phase.name))
            system = None if phase.system is None else self._language.get_template(system_name(phase.name))
        except TemplateSyntaxError as error:
            raise UsageError(f"{error.name}, line {error.lineno}: {error.message}") from None
        except (RecursionError, SyntaxError, MemoryError):  # of the Python that it is made into
            raise UsageError(f"a template of phase {phase.name} is nested too deeply") from None
        self._compiled[phase.name] = prompt, system
        return prompt, system


def prompt_name(phase: str) -> str:
    """What the template of a phase's prompt is called in messages."""
    return f"the prompt of phase {phase}"


def system_name(phase: str) -> str:
    """What the template of a phase's instructions is called in messages."""
    return f"the system text of phase {phase}"


def _parts(template: Template, variables: Mapping[str, Any], phase: Phase) -> tuple[Part, list[Part]]:
    work, token = bounds.begin()
    try:
        text = "".join(template.root_render_func(template.new_context(dict(variables))))
        return parts_of(_storable(text), work.marks)
    except Exception as error:
        _failed(error, template)
    finally:
        bounds.end(token)


def _storable(text: str) -> str:
    """Without the NUL character and halves of surrogate pairs, which no model and no database takes."""
    if "\0" in text:
        text = text.replace("\0", "␀")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text


def _failed(error: Exception, template: Template) -> NoReturn:
    where, line = _place(error.__traceback__) or (template.name, None)
    at = f"{where}, line {line}" if line else str(where)
    match error:
        case bounds.TooMuch() | Torn():
            raise UsageError(f"{at}: {error}") from None
        case RecursionError():
            raise UsageError(f"{at}: goes too deep; a macro or an include that uses itself does not end") from None
        case TemplateSyntaxError():  # of a template that is included
            raise UsageError(f"{error.name}, line {error.lineno}: {error.message}") from None
        case TemplateError():
            raise UsageError(f"{at}: {error.message}") from None
    raise UsageError(f"{at}: {type(error).__name__}: {error}") from error


def _place(traceback: TracebackType | None) -> tuple[str | None, int] | None:
    """The innermost template that an error went through, and its line there."""
    found = None
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            found = template.name, template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def _does_not_fit(phase: Phase, tokens: int, most: int, dropped: list[str]) -> NoReturn:
    without = (
        f", with all its sections left out ({', '.join(dropped)})" if dropped else ", and has no sections to leave out"
    )
    raise UsageError(
        f"the prompt of phase {phase.name} takes {tokens:,} tokens{without}; its input_tokens are {most:,}: raise "
        "them, shorten the prompt, or put what can be missed into a section"
    )
