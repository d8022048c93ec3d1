"""What search needs and no engine knows: terms, languages, ranking, dates, speakers, snippets."""
