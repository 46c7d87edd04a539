"""A conversation in, predictions out."""
