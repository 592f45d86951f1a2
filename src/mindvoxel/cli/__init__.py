"""One module a command; mindvoxel.cli.main finds them by name."""
