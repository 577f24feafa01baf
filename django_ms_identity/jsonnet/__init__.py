"""Evaluate Jsonnet in sandboxed worker processes. Does not interpret claims."""
