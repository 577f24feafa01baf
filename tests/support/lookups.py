"""What a look-up of a credential loaded, to compare two of them."""

from __future__ import annotations

from django_ms_identity.models import Credential


def loaded_values(credential: Credential) -> list[dict[str, object]]:
    """Return every value of the credential, its identity and its user, with its type."""
    rows = (credential, credential.identity, credential.identity.user)
    return [
        {name: (type(value), value) for name, value in vars(row).items() if name != "_state"}
        | {"model": type(row), "database": row._state.db, "adding": row._state.adding}
        for row in rows
    ]
