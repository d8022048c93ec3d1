"""What makes embeddings: an OpenAI-compatible endpoint, or a model in a folder."""
