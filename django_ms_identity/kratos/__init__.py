"""What Ory Kratos writes of its identities, read into values. No Django, no network."""
