"""Extractors: one row of numbers for each utterance, with a spec of how it was made."""
