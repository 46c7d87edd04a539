"""The systems that the paper's tables compare with, and three that define the field since; one file each."""
