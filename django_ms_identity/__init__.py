"""Sign in with Microsoft for Django, with identity traits that a mapper makes of Microsoft's claims.

Public, and changed only with a note in CHANGELOG.md:

- the modules ``apps``, ``urls``, ``models``, ``admin``, ``backends``, ``env``, ``signals``, ``decorators``
  and ``exceptions``, and the packages ``templatetags``, ``testing`` and ``emulator``, with the names that
  docs/reference.md lists;
- settings and environment variables, URL names, template names, error codes and check ids;
- the keyword arguments of signals and of the functions in ``HOOKS``, and those attributes of ``provider``,
  ``claims`` and ``mapped`` that docs/reference.md lists.

Everything else is private: its names, its modules and their places may change in any release.
"""

__version__ = "0.1.0"
