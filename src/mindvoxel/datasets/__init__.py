"""Data sets by their layout on disk, and a made-up one."""
