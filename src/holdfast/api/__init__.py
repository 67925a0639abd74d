"""HTTP: the API, who may use it, and live updates.

Importing holdfast needs no FastAPI; it is loaded with `create_app`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.api.app import create_app
    from holdfast.api.config import OIDCConfig, ServeConfig, WebhookConfig

__all__ = ["OIDCConfig", "ServeConfig", "WebhookConfig", "create_app"]


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from holdfast.api.app import create_app

        return create_app
    if name in ("OIDCConfig", "ServeConfig", "WebhookConfig"):
        from holdfast.api import config

        return getattr(config, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
