"""System checks: every fault of the set-up, with what to type."""

from __future__ import annotations

from django.core.checks import Tags, register

from .configuration import check_settings, check_subject_sources
from .deployment import check_deployment, check_identity_schema, check_mappers
from .project import check_project

TAG = "ms_identity"


def register_checks() -> None:
    """Register every check; called once by the app registry."""
    register(check_settings, TAG)
    register(check_subject_sources, TAG, Tags.database)
    register(check_project, TAG)
    register(check_deployment, TAG, Tags.security, deploy=True)
    register(check_mappers, TAG, deploy=True)
    register(check_identity_schema, TAG, deploy=True)
