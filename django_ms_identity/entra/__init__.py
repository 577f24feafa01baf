"""Microsoft's protocol: authorize URL, code exchange, keys, ID token, Graph. No ORM, no settings."""
