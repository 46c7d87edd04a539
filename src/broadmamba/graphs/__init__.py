"""Graphs from outside: what an ONNX file says, read without running any of it, and which ones are run."""

from broadmamba.graphs.rules import WEIGHTS, check_graph

__all__ = ["WEIGHTS", "check_graph"]
