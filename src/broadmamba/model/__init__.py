"""The paper, one file a section."""
