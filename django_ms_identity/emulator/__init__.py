"""A local Microsoft to sign in at: login.microsoftonline.com and graph.microsoft.com, without Azure.

For development and tests only. Mounted by ``include("django_ms_identity.emulator.urls")``, it answers
``<prefix>/<Microsoft's host>/<Microsoft's path>``. It serves only the loopback interface, only under DEBUG,
keeps everything in the memory of one process, and imports nothing of the code that it tests.
"""

CLIENT_ID = "47d04507-b19c-4309-ab9e-d9fcc8e5d2d9"
CLIENT_SECRET = "emulator-secret-without-value"  # noqa: S105 - valid at the emulator only
TENANT_ID = "d7c839aa-15c6-4c02-ae3f-779ce6e1807b"
"""The tenant "Contoso", home of the work personas."""
