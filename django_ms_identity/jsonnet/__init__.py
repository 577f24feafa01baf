"""Evaluate Jsonnet in sandboxed worker processes. Knows no claims."""
