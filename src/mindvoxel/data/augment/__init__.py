"""Augmentations: draw first, apply second, with the generator as an argument; image and label get the same draw."""
