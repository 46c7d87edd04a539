"""Emotion recognition in conversation from words, voice and faces, with Broad Mamba."""

from __future__ import annotations

__version__ = "0.1.0"
