"""What computes with embeddings, by numpy: imported by the wiring alone, if there is a model."""
