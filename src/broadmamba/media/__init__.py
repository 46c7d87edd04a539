"""Recordings and transcripts in."""
