"""How values are stored, from the settings: which codec seals them, and where large ones are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.model.sizes import size_said
from holdfast.store.values.values import LARGEST_APART, LARGEST_VALUE, LEAST_APART

if TYPE_CHECKING:
    from holdfast.cli.settings import Settings
    from holdfast.store.values.codec import PayloadCodec
    from holdfast.store.values.values import Values

ONE_OF = ("values.keys", "values.codec", "values.endpoint")
PLAIN = ("values.apart", "values.apart_over", "values.most")


def misfits(settings: Settings) -> Iterator[tuple[str, str]]:
    """What of the settings about values does not fit together: the key of one of them, and why."""
    given = [key for key in ONE_OF if settings[key] is not None]
    if len(given) > 1:
        yield given[1], f"is given beside {given[0]}; values are sealed in one way: leave one of them out"
    keys, key = settings["values.keys"], settings["values.key"]
    if keys is None and key is not None:
        yield "values.key", "names a key, and there are none: write [values.keys], or values.keys = { … }"
    elif keys is not None and key is None and len(keys) > 1:
        yield "values.keys", f"has {len(keys)} keys; say with values.key which one seals new values: {', '.join(keys)}"
    elif keys is not None and key is not None and key not in keys:
        yield "values.key", f"is {key!r}, and values.keys has {', '.join(keys)}"
    over, most = settings["values.apart_over"], settings["values.most"]
    if not LEAST_APART <= over <= LARGEST_APART:
        yield (
            "values.apart_over",
            f"is {size_said(over)}; give {size_said(LEAST_APART)} to {size_said(LARGEST_APART)}",
        )
    elif not over <= most <= LARGEST_VALUE:
        said = f"give no less than that, and at most {size_said(LARGEST_VALUE)}"
        yield "values.most", f"is {most:,} bytes, and values.apart_over {over:,}: {said}"
    if settings["values.endpoint"] is not None and settings["values.zstd"]:
        yield "values.zstd", "is for the codec endpoint to do: leave it out here"
    for owner, endpoint in (("values.endpoint_key", "values.endpoint"), ("serve.codec_key", "serve.codec_endpoint")):
        if settings[owner] is not None and settings[endpoint] is None:
            yield owner, f"is given without {endpoint}"
    if settings["serve.codec_endpoint"] is not None and given:
        yield "serve.codec_endpoint", f"is for a server without a codec of its own, and there is {given[0]}"
    if settings["serve.codec_forward"] and settings["serve.codec_endpoint"] is None:
        yield "serve.codec_forward", "is given without serve.codec_endpoint"


def make_codec(settings: Settings) -> PayloadCodec | None:
    """The codec that the settings name.

    Raises:
        UsageError: a key or a module is not where it should be, or what a codec needs is not installed.
    """
    from holdfast.cli.modules import load_codec
    from holdfast.codecs import AesGcm, Chain, RemoteCodec, Zstd

    if settings["values.endpoint"] is not None:
        key = settings["values.endpoint_key"]
        return RemoteCodec(settings["values.endpoint"], key=None if key is None else str(key))
    codecs: list[PayloadCodec] = []
    level = settings["values.zstd"]
    if level:
        codecs.append(Zstd() if level is True else Zstd(level))
    if settings["values.keys"] is not None:
        codecs.append(AesGcm({id: str(one) for id, one in settings["values.keys"].items()}, settings["values.key"]))
    elif settings["values.codec"] is not None:
        codecs.append(load_codec(settings["values.codec"]))
    return codecs[0] if len(codecs) == 1 else Chain(*codecs) if codecs else None


def in_child(file: str) -> Values | None:
    """How values are stored, for a process that executes a run alone: by the same file and environment.

    Args:
        file: the configuration file; empty for the one that is found.
    """
    from holdfast.cli.settings import load

    return make_values(load({}, file=file or None))


def make_values(settings: Settings, *, serving: bool = False) -> Values | None:
    """How values are stored; None where nothing is set, as is usual.

    Args:
        settings: as they hold.
        serving: for a server, which may have values opened by a codec endpoint.

    Raises:
        UsageError: as `make_codec`; or large values cannot be kept where they are to be.
    """
    codec = make_codec(settings)
    if serving and settings["serve.codec_endpoint"] is not None:
        from holdfast.codecs import RemoteCodec

        key = settings["serve.codec_key"]
        codec = RemoteCodec(
            settings["serve.codec_endpoint"],
            key=None if key is None else str(key),
            forward=settings["serve.codec_forward"],
            patient=False,
        )
    if codec is None and all(settings.source(key) == "default" for key in PLAIN):
        return None
    from holdfast.store.values.values import Values

    return Values(
        codec=codec,
        apart=settings["values.apart"],
        apart_over=settings["values.apart_over"],
        most=settings["values.most"],
    )
