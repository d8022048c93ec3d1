"""What search knows of texts, independent of any engine: terms, ranking, dates, snippets."""
