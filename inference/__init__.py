"""Runs models: the ONNX Runtime engine and its sliding window."""
