"""Sign in with Microsoft for Django, with identity traits mapped by Jsonnet."""

__version__ = "0.1.0"
