from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.models import (
    Credential,
    Identity,
    SignIn,
    VerifiableAddress,
    credential_key,
    normalised,
)
from tests.support.builders import make_identity


@given(one=st.tuples(st.text(), st.text()), other=st.tuples(st.text(), st.text()))
def test_a_credential_key_stands_for_one_provider_and_subject(one, other):
    assert (credential_key(*one) == credential_key(*other)) is (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b:c"), ("a:b", "c")),
        (("1", "1:a"), ("11", ":a")),
        (("microsoft", "subject"), ("microsoft", "SUBJECT")),
        (("microsoft", "subject"), ("microsoft", "subject ")),
    ],
)
def test_credential_keys_are_exact(one, other):
    assert credential_key(*one) != credential_key(*other)


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("Ines@Contoso.Example", "ines@contoso.example"),
        (" ines@contoso.example ", "ines@contoso.example"),
        ("\uff49nes@contoso\uff0eexample", "ines@contoso.example"),
        ("STRASSE@contoso.example", "strasse@contoso.example"),
        ("straße@contoso.example", "strasse@contoso.example"),
        ("\u212aelvin@contoso.example", "kelvin@contoso.example"),
        ("\u01f0@contoso.example", "\u01f0@contoso.example"),
    ],
)
def test_addresses_are_compared_whatever_their_spelling(address, form):
    assert normalised(address) == form


@given(address=st.text())
def test_the_normal_form_of_an_address_is_stable(address):
    assert normalised(normalised(address)) == normalised(address)


@pytest.mark.django_db
def test_a_subject_belongs_to_one_identity():
    make_identity(subject="a")
    other = make_identity(subject="b")

    with pytest.raises(IntegrityError), transaction.atomic():
        Credential.objects.create(
            identity=other, provider="microsoft", subject="a", key=credential_key("microsoft", "a")
        )


@pytest.mark.django_db
def test_a_user_has_one_identity():
    identity = make_identity()

    with pytest.raises(IntegrityError), transaction.atomic():
        Identity.objects.create(user=identity.user)


@pytest.mark.django_db
def test_credentials_are_found_by_provider_and_subject_alone():
    identity = make_identity(subject="a")

    assert Credential.objects.for_subject("microsoft", "a").get().identity == identity
    assert not Credential.objects.for_subject("other", "a").exists()
    assert not Credential.objects.for_subject("microsoft", "A").exists()


@pytest.mark.django_db
def test_addresses_are_found_whatever_their_spelling():
    make_identity(verified=("Ines@contoso.example",))

    assert VerifiableAddress.objects.matching("email", "INES@CONTOSO.EXAMPLE").exists()
    assert not VerifiableAddress.objects.matching("sms", "ines@contoso.example").exists()


@pytest.mark.django_db
def test_model_rows_are_named_without_a_person():
    identity = make_identity(subject="a", username="planted", verified=("ines@contoso.example",))
    sign_in = SignIn.objects.create(identity=identity, provider="microsoft", session="planted", sid="planted")

    assert str(identity) == str(identity.pk)
    assert str(identity.credentials.get()) == "microsoft:a"
    assert str(identity.verifiable_addresses.get()) == "ines@contoso.example"
    assert str(sign_in) == f"microsoft {sign_in.created_at:%Y-%m-%d %H:%M}"
    assert str(SignIn(provider="microsoft")) == "microsoft"


@pytest.mark.django_db
def test_a_sign_in_row_outlives_the_credential():
    identity = make_identity()
    sign_in = SignIn.objects.create(
        identity=identity, provider="microsoft", credential=identity.credentials.get()
    )

    identity.credentials.all().delete()

    sign_in.refresh_from_db()
    assert sign_in.credential is None
