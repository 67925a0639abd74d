"""The policy of the preset, as tests of scores take it."""

from holdfast.model.policy_documents import policy_from
from holdfast.model.presets import PRESETS

CUSTOMER_SUCCESS = policy_from(PRESETS["customer_success"])
