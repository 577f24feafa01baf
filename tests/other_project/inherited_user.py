"""The other project with a user model of two tables, a UUID key and fields that convert their values."""

from .settings import *  # noqa: F403  # but for the user model, the same project

AUTH_USER_MODEL = "other_project.Delegate"
