"""JSON that speech to text writes: a table of shapes, recognised by their keys, which say the unit of their times."""

from broadmamba.media.transcripts.speech_json.door import json_rows

__all__ = ["json_rows"]
