"""From trained runs and a scan to its labels: what predict.py and mindvoxel.predict do."""
