"""Sign in, register, update and link the people whom Microsoft has verified. Writes the database."""
