"""The human work queue: items for people, made by hand, by signals or by runs, in one ranked queue.

To import it has every worker tend it.
"""

from holdfast.engine.completing import complete_by
from holdfast.engine.forsaken import tell_of
from holdfast.engine.tended import have_tended
from holdfast.model.events import ITEM_EVENT
from holdfast.workqueue.bulk import items as many_items
from holdfast.workqueue.closing import close_items
from holdfast.workqueue.completing import ItemCompleting
from holdfast.workqueue.daily import daily as daily_work
from holdfast.workqueue.tending import ItemTender
from holdfast.workqueue.waking import wake

have_tended("work queue", ItemTender, [daily_work, many_items, wake])
tell_of(ITEM_EVENT, close_items)
complete_by(ItemCompleting())
