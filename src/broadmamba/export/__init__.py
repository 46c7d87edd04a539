"""Writing networks as graphs that run without torch."""
