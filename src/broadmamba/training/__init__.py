"""Training, selection on dev, checkpoints and run folders."""
