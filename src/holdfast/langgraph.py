"""LangGraph on holdfast's databases: `Saver` keeps the checkpoints of graphs, `Store` their long-term memory."""

from importlib.util import find_spec

if find_spec("langgraph") is None:
    raise ImportError('LangGraph is not installed: pip install "holdfast[langgraph]"')

from holdfast.agents.langgraph.items import Store
from holdfast.agents.langgraph.saver import Saver

__all__ = ["Saver", "Store"]
