"""Conversations in a Redis: each verb one script per conversation, so that nobody needs a lock of the client's."""
