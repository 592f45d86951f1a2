"""Training on MindSpore. Importing this package does not import MindSpore: device.prepare comes first."""
