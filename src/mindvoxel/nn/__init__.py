"""The cells that the networks share. Importing this imports MindSpore: choose the device first (train.device)."""
