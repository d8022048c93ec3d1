"""Values that nouns are made of: ids, texts, times, JSON, metadata, filters and pages."""
