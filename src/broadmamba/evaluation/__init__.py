"""Figures from predictions, and predictions from a model."""
