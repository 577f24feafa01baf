"""Sealing and signing: rotation, separation by kind and context, and every byte tampered with."""

from __future__ import annotations

import base64
from contextlib import nullcontext

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
def test_sealed_text_opens(plain):
    assert opened(sealed(plain=plain)) == plain


def test_seal_fits_into_a_cookie_and_hides_its_text():
    text = sealed()

    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert PLAIN not in base64.urlsafe_b64decode(text + "==")
    assert text != sealed()


@pytest.mark.parametrize(
    ("sealing", "opening", "opens"),
    [
        pytest.param([OLD], [NEW, OLD], True, id="sealed with a fallback"),
        pytest.param([NEW.encode()], [NEW], True, id="secret in bytes"),
        pytest.param([NEW, OLD], [OLD], False, id="only the first secret seals"),
        pytest.param([OLD], [NEW], False, id="retired secret"),
    ],
)
def test_seal_opens_with_the_first_secret_and_its_fallbacks(sealing, opening, opens):
    with nullcontext() if opens else pytest.raises(SealBroken):
        assert opened(sealed(Keyring(sealing)), Keyring(opening)) == PLAIN


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
def test_seal_of_another_kind_or_context_does_not_open(kind, context):
    with pytest.raises(SealBroken) as caught:
        opened(sealed(), kind=kind, context=context)
    assert caught.value.args == ()


def test_seal_with_any_changed_bit_does_not_open():
    raw = base64.urlsafe_b64decode(sealed() + "==")

    for index in range(len(raw)):
        changed = bytearray(raw)
        changed[index] ^= 1
        with pytest.raises(SealBroken):
            opened(base64.urlsafe_b64encode(changed).rstrip(b"=").decode())


def test_seal_in_another_spelling_does_not_open():
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


def test_seal_that_is_cut_does_not_open():
    text = sealed()

    for length in range(len(text)):
        with pytest.raises(SealBroken):
            opened(text[:length])


@given(text=st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()))
def test_any_text_is_a_broken_seal(text):
    with pytest.raises(SealBroken):
        opened(text)


def test_signature_holds_for_its_message_and_kind():
    signature = KEYRING.sign(PLAIN, kind="cache")

    assert KEYRING.verify(PLAIN, signature, kind="cache")
    assert not KEYRING.verify(PLAIN + b"!", signature, kind="cache")
    assert not KEYRING.verify(PLAIN, signature, kind="other")
    assert not KEYRING.verify(PLAIN, signature[:-1], kind="cache")
    assert not KEYRING.verify(PLAIN, "", kind="cache")


def test_signature_of_an_old_secret_is_verified_by_a_fallback():
    signature = Keyring([OLD]).sign(PLAIN, kind="cache")

    assert Keyring([NEW, OLD]).verify(PLAIN, signature, kind="cache")
    assert not KEYRING.verify(PLAIN, signature, kind="cache")


@given(signature=st.text())
@example(signature="\ud800")
def test_any_text_is_no_signature(signature):
    assert not KEYRING.verify(PLAIN, signature, kind="cache")


def test_repr_of_keyring_shows_no_secret():
    assert "planted" not in repr(Keyring(["planted"]))
