"""Transcripts in: subtitles, tables, tiers, and lines `Name: text` become one `Conversation`."""

from broadmamba.media.transcripts.reading import read_transcript, read_turns

__all__ = ["read_transcript", "read_turns"]
