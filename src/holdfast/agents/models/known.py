"""Which models there are: those that pydantic-ai lists, those with a published price, and scripted ones."""

from __future__ import annotations

import functools
from collections.abc import Collection

from holdfast.agents.phases.prompt_costs import cost_of_prompt
from holdfast.errors import UsageError
from holdfast.model.nearest import nearest
from holdfast.model.phases import ModelTerms

OFFLINE = ("scripted", "test")
"""Providers of models that ask nobody."""


def model_fault(id: str, declared: Collection[str], *, is_declared: bool) -> str | None:
    """Why there is no such model.

    Args:
        id: provider and name.
        declared: names that a file gives to models.
        is_declared: a file declares it: only its provider has to be known.

    Returns:
        What is wrong, going on after the name of the place; None for nothing.
    """
    provider, colon, name = id.partition(":")
    if id == "test" or (provider == "scripted" and name):
        return None
    if colon and name and is_declared:
        return _provider_fault(provider, f"is {id!r}, whose provider")
    if colon and name and (id in _listed() or (_is_priced(id) and _is_provider(provider))):
        return None
    near = nearest(id, [*declared, *_listed(), *_priced(provider)])
    meant = f"did you mean {near}? If not, declare it" if near else "declare it"
    return f'is {id!r}, a model that nobody knows; {meant}: [models.NAME] with model = "provider:name"'


def provider_fault(provider: str) -> str | None:
    """Why there is no such provider; None where there is one."""
    return None if provider in OFFLINE else _provider_fault(provider, "is a provider that")


def _provider_fault(provider: str, what: str) -> str | None:
    if _is_provider(provider):
        return None
    near = nearest(provider, {one.partition(":")[0] for one in _listed()})
    return f"{what} pydantic-ai does not know; {f'did you mean {near}?' if near else 'see its list of providers'}"


@functools.cache
def _listed() -> frozenset[str]:
    try:
        from pydantic_ai.models import known_model_names  # here: it takes its time
    except ModuleNotFoundError as missing:
        raise UsageError(f'models are known by a library: pip install "holdfast[agents]" ({missing})') from missing
    return frozenset(known_model_names())


def _is_priced(id: str) -> bool:
    return cost_of_prompt(ModelTerms(id, id), 1) is not None


@functools.cache
def _priced(provider: str) -> frozenset[str]:
    from genai_prices.data_snapshot import get_snapshot

    models = [model for one in get_snapshot().providers if one.id == provider for model in one.models]
    return frozenset(f"{provider}:{model.id}" for model in models)


@functools.cache
def _is_provider(provider: str) -> bool:
    if any(one.startswith(f"{provider}:") for one in _listed()):
        return True
    from pydantic_ai.providers import infer_provider_class

    try:
        infer_provider_class(provider)
    except ImportError:  # known, and its package is not installed
        return True
    except ValueError:
        return False
    return True
