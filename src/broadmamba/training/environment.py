"""What a result was made with and on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import torch


def environment() -> dict[str, Any]:
    """Versions, machine and threads, as plain JSON values."""
    return {
        "python": platform.python_version(),
        "broadmamba": version("broadmamba"),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
