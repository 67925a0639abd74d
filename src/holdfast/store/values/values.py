"""`hf.Values`: how a database's values are stored: sealed by which codec, and kept apart where."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from holdfast.errors import UsageError
from holdfast.model.references import DATABASE
from holdfast.model.sizes import size_bytes, size_said
from holdfast.store.values.codec import PayloadCodec
from holdfast.store.values.places import SCHEMES, place_at

KIB, MIB = 1024, 1024 * 1024

LEAST_APART, LARGEST_APART = KIB, 16 * MIB
LARGEST_VALUE = 256 * MIB


@dataclass(frozen=True)
class Values:
    """How values are stored. One database has the same in all of a process; give it to every worker and client.

    Args:
        codec: seals every payload, such as ``hf.Chain(hf.Zstd(), hf.AesGcm(…))``; None for none.
        apart: where a payload's bytes go that are larger than ``apart_over``: ``"database"``, in parts beside the rest;
            an object storage, ``s3://bucket/prefix``; or, with SQLite, a folder.
        apart_over: payloads that are larger, as they are stored, are kept apart: 1 KiB to 16 MiB.
        most: a value that is larger is refused: up to 256 MiB.

    Raises:
        UsageError: an argument is out of range, or is none.
    """

    codec: PayloadCodec | None = None
    apart: str = DATABASE
    apart_over: int | str = "256KiB"
    most: int | str = "64MiB"

    def __post_init__(self) -> None:
        if self.codec is not None and (isinstance(self.codec, type) or not isinstance(self.codec, PayloadCodec)):
            raise UsageError(
                f"the codec of hf.Values is {self.codec!r}; give an object with the methods encode and decode, such as "
                "hf.Zstd()"
            )
        over, most = size_bytes(self.apart_over, "apart_over of hf.Values"), size_bytes(self.most, "most of hf.Values")
        if not LEAST_APART <= over <= LARGEST_APART:
            raise UsageError(
                f"apart_over of hf.Values is {size_said(over)}; give {size_said(LEAST_APART)} to "
                f"{size_said(LARGEST_APART)}"
            )
        if not over <= most <= LARGEST_VALUE:
            raise UsageError(
                f"most of hf.Values is {size_said(most)}; give no less than apart_over, {size_said(over)}, and at most "
                f"{size_said(LARGEST_VALUE)}"
            )
        # Equal settings compare equal, however they were written.
        object.__setattr__(self, "apart_over", over)
        object.__setattr__(self, "most", most)
        object.__setattr__(self, "apart", _place(self.apart))

    @property
    def apart_over_bytes(self) -> int:
        """Larger payloads are kept apart."""
        return size_bytes(self.apart_over, "apart_over")

    @property
    def most_bytes(self) -> int:
        """Larger values are refused."""
        return size_bytes(self.most, "most")

    def check_database(self, url: str) -> None:
        """See that a database can have its values kept so.

        Raises:
            UsageError: large ones are to go to a folder, and workers may be on machines that do not have it; or obstore
                is not installed.
            StoreUnavailable: something about an object storage is missing in the environment.
        """
        if os.path.isabs(self.apart) and not url.startswith(("sqlite:", "memory:")):
            raise UsageError(
                f"large values are to be kept in the folder {self.apart}, and the workers of a PostgreSQL database may "
                'be on machines that do not have it; give apart="database", or an object storage such as s3://…'
            )
        if self.apart != DATABASE:
            place_at(self.apart)


def _place(apart: object) -> str:
    """Where large values are kept, as references name it."""
    if apart == DATABASE:
        return DATABASE
    if not isinstance(apart, str) or not apart:
        raise UsageError(f'apart of hf.Values is {apart!r}; give "database", an object storage, or a folder')
    if "://" not in apart:
        return os.path.abspath(apart)
    parts = urlsplit(apart)
    if parts.scheme == "file" and not parts.netloc and parts.path:
        return os.path.abspath(unquote(parts.path))
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            f"apart of hf.Values, {parts.scheme}://…, has a user, a query or a fragment in it; leave them out: "
            "credentials come from the environment, such as AWS_ACCESS_KEY_ID"
        )
    if parts.scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise UsageError(f'apart of hf.Values is {apart!r}; give "database", a folder, or one of {known}')
    return apart.rstrip("/") if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}"
