"""What the agents give each other."""

from __future__ import annotations

from pathlib import PurePosixPath

from pydantic import BaseModel, field_validator


class Plan(BaseModel):
    """What is to be done.

    Attributes:
        files: those of the repository that are to be changed.
    """

    steps: list[str]
    files: list[str]


class File(BaseModel):
    """A file of the repository as it is to be."""

    path: str
    text: str

    @field_validator("path")
    @classmethod
    def _is_inside(cls, path: str) -> str:
        """A model that names another is told so; the workspace would refuse it as well."""
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError("give a path within the repository, such as basket/prices.py")
        return path


class Code(BaseModel):
    """A change.

    Attributes:
        files: new texts of those that change, whole.
    """

    files: list[File]


class Patch(BaseModel):
    """A change that was made in a copy of the repository.

    Attributes:
        copy_in: the folder of the copy, in the workspace.
    """

    copy_in: str
    diff: str


class Tested(BaseModel):
    """How the tests of the copy ended."""

    passed: bool
    output: str


class Review(BaseModel):
    """What the reviewer thinks of a change.

    Attributes:
        remarks: what is to be done otherwise.
    """

    accepted: bool
    remarks: list[str]
