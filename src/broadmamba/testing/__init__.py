"""What every model of conversations has to hold, as a suite that any model can be put through.

>>> from broadmamba.testing import check_model
>>> check_model(model)
"""

from __future__ import annotations

from broadmamba.testing.checks import CHECKS, check_model
from broadmamba.testing.subject import Subject, random_conversations

__all__ = ["CHECKS", "Subject", "check_model", "random_conversations"]
