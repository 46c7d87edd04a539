"""Nothing is told to anybody: the libraries that report on their users are switched off, whatever the user has set.

`broadmamba/__init__.py` imports this module before any other, since libraries read the switches when they are first
imported. Processes that are started from here inherit them.
"""

from __future__ import annotations

import os
import sys

SWITCHES = {
    # ONNX Runtime, which finds speech, sends events to its maker and keeps an id of the device and a queue of events
    # in the user's cache.
    "ORT_DISABLE_TELEMETRY": "1",
    # The Hugging Face libraries say with each download what runs it, and fetch a list of what might.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Their file transfer reports on itself.
    "HF_XET_TELEMETRY_ENABLED": "0",
    # transformers asks a service of the hub to convert weights that are no safetensors.
    "DISABLE_SAFETENSORS_CONVERSION": "1",
    # Ray, for whoever runs us on its workers, reports on its clusters.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Programs that `fetch` calls look for newer versions of themselves.
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "npm_config_update_notifier": "false",
    # Whatever else honours the common switch.
    "DO_NOT_TRACK": "1",
}
"""Environment variables, and what they are set to."""


def switch_off_telemetry() -> None:
    """Set the switches, in libraries too that the program has imported already."""
    os.environ.update(SWITCHES)
    if onnxruntime := sys.modules.get("onnxruntime"):
        onnxruntime.disable_telemetry_events()
    if constants := sys.modules.get("huggingface_hub.constants"):
        constants.HF_HUB_DISABLE_TELEMETRY = True  # type: ignore[attr-defined]


switch_off_telemetry()
