"""Connect a Microsoft account to a user who exists already, and disconnect it."""
