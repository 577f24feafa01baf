"""Try a configuration out before a visitor does."""
