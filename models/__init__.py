"""What a model is: its description, what its network sees, and the released versions."""
