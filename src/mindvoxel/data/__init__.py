"""What happens to voxels before and after a network, in NumPy, SciPy and SimpleITK."""
