"""Conversations: turn by turn, one at a time, each stored whole or not at all.

To import it has every worker tend those in the database.
"""

from holdfast.conversations.tending import ConversationTender
from holdfast.engine.tended import have_tended

have_tended("conversations", ConversationTender)
