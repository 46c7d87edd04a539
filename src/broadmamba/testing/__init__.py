"""What every model of conversations has to hold, and every way of training one, as suites to put yours through.

>>> from broadmamba.testing import check_model
>>> check_model(model)
"""

from __future__ import annotations

from broadmamba.testing.checks import CHECKS, check_model
from broadmamba.testing.pipeline import check_pipeline
from broadmamba.testing.subject import Subject, random_conversations

__all__ = ["CHECKS", "Subject", "check_model", "check_pipeline", "random_conversations"]
