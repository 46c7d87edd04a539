"""Where what is kept between runs lies, of ours and of the libraries that the commands use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_OF_LIBRARIES = {"MPLCONFIGDIR": "matplotlib", "TORCHINDUCTOR_CACHE_DIR": "torch"}
"""Variable that tells a library its folder → the folder's name in our cache."""


def cache_folder() -> Path:
    """Where fetched weights lie: `$BROADMAMBA_CACHE`, or else the platform's folder for caches."""
    chosen = os.environ.get("BROADMAMBA_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "broadmamba"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "broadmamba"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "broadmamba"


def gather_caches() -> None:
    """Have libraries keep their files in our cache, where they would leave them in the user's folders and in /tmp.

    Where the cache cannot be written they stay with their own places, which they choose with more care.
    """
    cache = cache_folder().absolute()
    nearest = next(folder for folder in (cache, *cache.parents) if folder.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK):
        for variable, folder in _OF_LIBRARIES.items():
            os.environ.setdefault(variable, str(cache / folder))
