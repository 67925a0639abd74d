"""Prompts from templates: sandboxed, strict about missing names, and cut to a budget of tokens."""
