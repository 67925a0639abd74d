"""A form that was sent: its values, read one by one, and what is wrong with them, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from types import TracebackType
from typing import Any

from holdfast.api.bodies import parse
from holdfast.api.problems import Refused
from holdfast.errors import Forbidden, HoldfastError, StoreError, Unauthorised, UsageError
from holdfast.model.duration import seconds


class Form:
    """The values of a form, and the errors that are shown beside its fields.

    Attributes:
        values: as they were sent; the last one of a name.
        errors: by the name of a field; "" for those of the form as a whole.
        files: what files hold, by the name of their field.
        names: what they are called there.
    """

    def __init__(self, values: Mapping[str, str] | None = None, lists: Mapping[str, list[str]] | None = None) -> None:
        self.values = dict(values or {})
        self.errors: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.names: dict[str, str] = {}
        self._lists = dict(lists or {})

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.errors

    def refuse(self, name: str, why: str) -> None:
        """Say what is wrong with a field; with "" what is wrong with the form. The first error of each counts."""
        self.errors.setdefault(name, why)

    def refusals(self, field: str = "") -> Refusals:
        """What holdfast refuses inside ``with`` stands at a field, or at the head of the form; it is not raised."""
        return Refusals(self, field)

    def all(self, name: str) -> list[str]:
        """Every value that was sent under a name."""
        return self._lists.get(name, [])

    def ticked(self, name: str) -> bool:
        """Whether a checkbox was ticked."""
        return name in self.values

    def text(self, name: str, *, needed: bool = True, most: int = 10_000, what: str = "") -> str:
        """A text, without spaces around it."""
        value = self.values.get(name, "").strip()
        if needed and not value:
            self.refuse(name, f"Give {what or 'a value'}.")
        elif len(value) > most:
            self.refuse(name, f"Give at most {most:,} characters; this has {len(value):,}.")
        return value

    def choice(self, name: str, choices: Mapping[str, str] | list[str]) -> str:
        """One of some values."""
        value = self.values.get(name, "")
        if value not in choices:
            self.refuse(name, "Choose one of these.")
        return value

    def integer(self, name: str, *, least: int | None = None, most: int | None = None) -> int | None:
        """A whole number; None for nothing."""
        value = self.text(name, needed=False, most=20)
        if not value:
            return None
        try:
            found = int(value)
        except ValueError:
            self.refuse(name, "Give a whole number.")
            return None
        if (least is not None and found < least) or (most is not None and found > most):
            above = f"{least:,} or more" if most is None else f"at most {most:,}"
            self.refuse(name, f"Give {above if least is None or most is None else f'{least:,} to {most:,}'}.")
        return found

    def duration(self, name: str) -> float | None:
        """A length of time such as 1h30m, in seconds; None for nothing."""
        value = self.text(name, needed=False, most=100)
        if not value:
            return None
        try:
            return seconds(value, what=name)
        except UsageError:
            self.refuse(name, "Give a length of time such as 90s, 5m or 1h30m.")
            return None

    def instant(self, name: str, zone: tzinfo) -> datetime | None:
        """An instant, in the viewer's zone where it says none; None for nothing."""
        value = self.text(name, needed=False, most=100)
        if not value:
            return None
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.refuse(name, "Give a date and a time such as 2026-12-01 10:00.")
            return None
        return found if found.tzinfo is not None else found.replace(tzinfo=zone)

    def json(self, name: str, *, needed: bool = True) -> Any:
        """A value written as JSON; None for nothing."""
        value = self.text(name, needed=needed, most=8_000_000, what="a value as JSON")
        if not value:
            return None
        try:
            return parse(value.encode("utf-8", "surrogatepass"))
        except Refused as error:
            self.refuse(name, str(error).replace("the body", "this"))
        return None


class Refusals:
    """Takes what holdfast refuses for an error of a form. A database that is away, or who may not, is none."""

    def __init__(self, form: Form, field: str) -> None:
        self._form = form
        self._field = field

    def __enter__(self) -> None:
        pass

    # A bool, so that the type checker knows that what comes behind may be reached.
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, HoldfastError) or isinstance(error, StoreError | Forbidden | Unauthorised):
            return False
        self._form.refuse(self._field, str(error))
        return True
