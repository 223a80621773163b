"""Runs models: ONNX Runtime or OpenVINO, and the sliding window."""
