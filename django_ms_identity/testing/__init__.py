"""For a project's own tests: sign in with Microsoft without Azure, a server or a network.

With pytest, take the fixture ``ms_identity_emulator`` (needs pytest-django and ``responses``)::

    def test_staff_see_the_report(client, ms_identity_emulator, db):
        ms_identity_emulator.sign_in(client, persona="admin")
        assert client.get("/report/").status_code == 200

Failures at Microsoft can be tested too::

    ms_identity_emulator.sign_in(client, persona="disabled")  # refuse: also "cancel", "admin-consent"
    ms_identity_emulator.answer_next("token", status=503)  # fail: or exception=requests.Timeout()
    ms_identity_emulator.persona("work", groups=("...",), claims={"acct": 1})  # change who signs in

With unittest, enter ``django_ms_identity.testing.emulator.Emulator()`` as a context manager.
"""
