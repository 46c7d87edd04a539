"""JSON that speech to text writes: a table of shapes, recognised by their keys, which say the unit of their times."""

from broadmamba.media.transcripts.speech_json.door import is_json, json_rows

__all__ = ["is_json", "json_rows"]
