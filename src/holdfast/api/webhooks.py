"""Webhooks that come in: whether they are genuine, and what becomes of them.

They are signed as Standard Webhooks says. A webhook may come again, for a day or a year: what it does is named by its
own id, and so done once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from holdfast.api.access import Principal
from holdfast.api.config import WebhookConfig
from holdfast.api.problems import Place, Refused
from holdfast.api.server import Server
from holdfast.api.shapes import WebhookDone
from holdfast.engine.workflow import start_options
from holdfast.model.access import Role
from holdfast.model.ids import MAX_ID_CHARACTERS

WHOLE = "$"

_MISSING = object()


def verify(config: WebhookConfig, headers: Mapping[str, str], body: bytes) -> str:
    """Refuse what is not genuine, or too old: five minutes.

    Args:
        config: of this kind of webhook.
        headers: of the request, in lower case.
        body: as it came.

    Returns:
        The webhook's id.

    Raises:
        Refused: it is not signed by any of the secrets.
    """
    said = "no signature"
    for secret in config.secret.split():
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except WebhookVerificationError as error:
            said = str(error)
        except (ValueError, EmptyWebhookSecretError):  # a header, a body or a secret in no form of theirs
            said = "the signature cannot be read"
        else:
            return headers["webhook-id"]
    raise Refused("webhook-refused", f"the webhook is not signed as it should be: {said}", at=int(time.time()))


async def receive(server: Server, name: str, config: WebhookConfig, id: str, body: Any) -> WebhookDone:
    """Send the event, or start the run, that a webhook stands for; once, however often it comes.

    Args:
        server: the server.
        name: of the webhook, as configured.
        config: what becomes of it.
        id: the webhook's own.
        body: its JSON.

    Raises:
        Refused: the body has nothing where the configuration looks.
        HoldfastError: as `Client.send_event` and `Client.start_named`.
    """
    actor = f"webhook:{name}"[:MAX_ID_CHARACTERS]
    client = server.client(Principal(actor, actor, config.tenant, Role.OPERATOR))
    named = f"webhook/{name}/{id}"
    if len(named) > MAX_ID_CHARACTERS or not named.isprintable():
        named = f"webhook/{hashed(named)}"
    own = named if config.id is None else str(_scalar(body, config.id, "id"))
    if config.event is not None:
        key = "" if config.key is None else _scalar(body, config.key, "key")
        payload = _at(body, config.input.get("payload", WHOLE))
        sent = await client.send_event(config.event, payload, key=key, id=own)
        return WebhookDone(None, sent.created)
    assert config.workflow is not None
    given = {argument: _at(body, place) for argument, place in config.input.items()} if config.input else body
    if not isinstance(given, dict):
        raise _refused("the body is the input of a run, and so an object", "")
    start, created, became = await client.start_by_name(config.workflow, given, None, start_options(id=own))
    if became is not None and not created:  # there is no run of this webhook alone
        return WebhookDone(became.run_id if became.way == "merged" else None, created)
    return WebhookDone(start.id, created)


def hashed(text: str) -> str:
    """A short text that stands for a long one."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _at(body: Any, place: str) -> Any:
    """What stands at a dotted path in a body.

    Raises:
        Refused: nothing does.
    """
    found = body
    if place == WHOLE:
        return found
    for part in place.removeprefix("$.").split("."):
        if isinstance(found, dict):
            found = found.get(part, _MISSING)
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            found = _MISSING
        if found is _MISSING:
            raise _refused(f"the body has nothing at {place}", "/" + place.removeprefix("$.").replace(".", "/"))
    return found


def _scalar(body: Any, place: str, what: str) -> str | int:
    found = _at(body, place)
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise _refused(f"the {what} at {place} is neither a text nor a whole number", "/" + place.replace(".", "/"))
    return found


def _refused(said: str, pointer: str) -> Refused:
    return Refused("invalid-request", said, errors=[Place(said, pointer=pointer)])
