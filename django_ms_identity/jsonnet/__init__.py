"""Evaluate Jsonnet in sandboxed worker processes. Knows nothing of claims or identities."""
