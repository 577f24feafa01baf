"""Turn claims into identity traits, and check them against the identity schema."""
