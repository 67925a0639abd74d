"""Intake: what comes in becomes runs, each entry one, whatever crashes.

To import it has every worker take in the sources that it is given.
"""

from holdfast.engine.tended import have_tended
from holdfast.intake.tending import IntakeTender

have_tended("intake", IntakeTender)
