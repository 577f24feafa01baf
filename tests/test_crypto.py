"""Sealing and signing: rotation, separation by kind and context, and every byte tampered with."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_ms_identity.crypto import Keyring, SealBroken

NEW, OLD = "new secret", "old secret"
PLAIN = b"planted plain text"
KEYRING = Keyring([NEW])


def opened(
    sealed: str, keyring: Keyring = KEYRING, kind: str = "flow", context: tuple[str, ...] = ("a", "b")
):
    return keyring.open(sealed, kind=kind, context=context)


def sealed(keyring: Keyring = KEYRING, plain: bytes = PLAIN) -> str:
    return keyring.seal(plain, kind="flow", context=("a", "b"))


@given(plain=st.binary())
def test_what_was_sealed_opens(plain):
    assert opened(sealed(plain=plain)) == plain


def test_a_seal_fits_into_a_cookie_and_shows_nothing():
    text = sealed()

    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert PLAIN not in base64.urlsafe_b64decode(text + "==")
    assert text != sealed()


def test_a_fallback_opens_what_an_old_secret_sealed():
    assert opened(sealed(Keyring([OLD])), Keyring([NEW, OLD])) == PLAIN


def test_only_the_first_secret_seals():
    with pytest.raises(SealBroken):
        opened(sealed(Keyring([NEW, OLD])), Keyring([OLD]))


def test_a_retired_secret_opens_nothing():
    with pytest.raises(SealBroken):
        opened(sealed(Keyring([OLD])), Keyring([NEW]))


def test_a_secret_may_be_bytes():
    assert opened(sealed(Keyring([NEW.encode()])), Keyring([NEW])) == PLAIN


@pytest.mark.parametrize(
    ("kind", "context"),
    [
        ("answer", ("a", "b")),
        ("flow", ("a", "c")),
        ("flow", ("b", "a")),
        ("flow", ("a",)),
        ("flow", ()),
        ("flow", ("ab",)),
        ("flow", ("a", "b", "")),
        ("flow", ('a", "b',)),
        ("flow.v1", ("a", "b")),
    ],
)
def test_kinds_and_contexts_are_not_interchangeable(kind, context):
    with pytest.raises(SealBroken):
        opened(sealed(), kind=kind, context=context)


def test_a_change_of_any_bit_is_noticed():
    raw = base64.urlsafe_b64decode(sealed() + "==")

    for index in range(len(raw)):
        changed = bytearray(raw)
        changed[index] ^= 1
        with pytest.raises(SealBroken):
            opened(base64.urlsafe_b64encode(changed).rstrip(b"=").decode())


def test_another_spelling_of_the_same_bytes_does_not_open():
    text = sealed(
        plain=b"16 bytes of text"
    )  # 44 bytes in all: the last letter has two bits that mean nothing
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(text[-1])
    spellings = [
        f"{text}=",
        f"{text}==",
        f"{text}===",
        *(text[:-1] + alphabet[last + more] for more in (1, 2, 3)),
    ]
    assert base64.urlsafe_b64decode(f"{spellings[-1]}=") == base64.urlsafe_b64decode(f"{text}=")

    for other in spellings:
        with pytest.raises(SealBroken):
            opened(other)


def test_no_cut_opens():
    text = sealed()

    for length in range(len(text)):
        with pytest.raises(SealBroken):
            opened(text[:length])


@given(text=st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()))
def test_any_text_is_bytes_or_a_broken_seal(text):
    with pytest.raises(SealBroken):
        opened(text)


def test_a_broken_seal_says_nothing():
    with pytest.raises(SealBroken) as caught:
        opened(sealed(), kind="answer")

    assert caught.value.args == ()


def test_a_signature_holds_for_its_message_and_kind():
    signature = KEYRING.sign(PLAIN, kind="cache")

    assert KEYRING.verify(PLAIN, signature, kind="cache")
    assert not KEYRING.verify(PLAIN + b"!", signature, kind="cache")
    assert not KEYRING.verify(PLAIN, signature, kind="other")
    assert not KEYRING.verify(PLAIN, signature[:-1], kind="cache")
    assert not KEYRING.verify(PLAIN, "", kind="cache")


def test_a_fallback_verifies_what_an_old_secret_signed():
    signature = Keyring([OLD]).sign(PLAIN, kind="cache")

    assert Keyring([NEW, OLD]).verify(PLAIN, signature, kind="cache")
    assert not KEYRING.verify(PLAIN, signature, kind="cache")


@given(signature=st.text())
@example(signature="\ud800")
def test_any_other_text_is_no_signature(signature):
    assert not KEYRING.verify(PLAIN, signature, kind="cache")


def test_the_secrets_are_not_shown():
    assert "planted" not in repr(Keyring(["planted"]))
