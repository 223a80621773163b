"""Sliding windows beside MONAI's, on the same network."""
