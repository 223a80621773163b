"""Export: from a run's weights to the ONNX file that serves, and the proof that both compute the same."""
