"""For a project's own tests: sign people in without Azure, without a server and without a network.

With pytest, take the fixture ``ms_identity_emulator`` (needs pytest-django and ``responses``)::

    def test_staff_see_the_report(client, ms_identity_emulator, db):
        ms_identity_emulator.sign_in(client, persona="admin")
        assert client.get("/report/").status_code == 200

With unittest, enter ``django_ms_identity.testing.emulator.Emulator()`` as a context manager.
"""
