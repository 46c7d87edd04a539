"""Transcripts in: CSV, JSONL, SRT, WebVTT and lines `Name: text` become one `Conversation`."""

from broadmamba.media.transcripts.reading import read_transcript

__all__ = ["read_transcript"]
