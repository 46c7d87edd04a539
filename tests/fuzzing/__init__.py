"""Damaged and hostile files by the thousand: what is read, how it is damaged, and processes that read it in bounds."""
