"""What a model folder is: a format, and nothing else."""
