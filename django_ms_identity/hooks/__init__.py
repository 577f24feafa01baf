"""Run the hooks of the setting HOOKS."""
