"""For a project's own tests: sign people in without Azure, without a server and without a network.

With pytest, take the fixture ``ms_identity_emulator`` (needs pytest-django and ``responses``)::

    def test_staff_see_the_report(client, ms_identity_emulator, db):
        ms_identity_emulator.sign_in(client, persona="admin")
        assert client.get("/report/").status_code == 200

What goes wrong at Microsoft can be tested too::

    # Refuse: "disabled", "cancel" or "admin-consent". Fail: a response, or exception=requests.Timeout().
    ms_identity_emulator.sign_in(client, persona="disabled")
    ms_identity_emulator.answer_next("token", status=503)
    # Change who signs in, or single claims.
    ms_identity_emulator.persona("work", groups=("finance",), claims={"acct": 1})

With unittest, enter ``django_ms_identity.testing.emulator.Emulator()`` as a context manager.
"""
