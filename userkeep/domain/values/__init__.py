"""The values that nouns consist of: ids, texts, times, JSON, metadata, filters and pages."""
