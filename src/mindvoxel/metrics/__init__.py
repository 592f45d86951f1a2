"""What a segmentation is worth: overlap, border distances, and the report of a whole set. NumPy and SciPy only."""
