"""Conversations, corpora and batches."""
