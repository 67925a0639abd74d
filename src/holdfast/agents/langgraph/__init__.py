"""LangGraph's checkpointer and store on holdfast's databases."""
