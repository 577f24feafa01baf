"""Import identities from other systems."""
