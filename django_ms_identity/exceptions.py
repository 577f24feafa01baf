"""Every way in which a sign-in can be refused: one base, one leaf per cause.

A leaf carries a stable ``code``, an HTTP ``status`` and two sentences for the visitor: what happened
(``title``) and what to do (``advice``). The message and the ``hint`` are for the operator and never
reach a visitor. Nothing secret goes into any of them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser
    from django.utils.functional import _StrOrPromise

_TRY_AGAIN = _("Please try to sign in again.")
_TELL_OPERATOR = _("Please tell the people who run this site, and give them the code below.")


class MSIdentityError(Exception):
    """Stand for any refusal; never raised itself."""

    code: ClassVar[str] = "ms_identity_error"
    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    title: ClassVar[_StrOrPromise] = _("We could not sign you in.")
    advice: ClassVar[_StrOrPromise] = _TRY_AGAIN

    def __init__(self, detail: str = "", *, hint: str = "", trace_id: str = "") -> None:
        super().__init__(detail or self.code)
        self.detail = detail
        """What happened, for the log and for staff."""
        self.hint = hint
        """What the operator can do about it."""
        self.trace_id = trace_id
        """Microsoft's trace id: a UUID or empty."""


# Configuration


class ConfigurationInvalid(MSIdentityError):
    """The settings or the environment have faults; all of them are listed."""

    code = "configuration_invalid"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = _("Sign-in is not set up correctly on this site.")
    advice = _TELL_OPERATOR

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults), hint="Run `manage.py check` and mend what it names.")
        self.faults = faults


class ProviderUnknown(MSIdentityError):
    code = "provider_unknown"
    status = HTTPStatus.NOT_FOUND
    title = _("This way to sign in does not exist.")
    advice = _("Please go to the sign-in page and choose one from there.")


# The unfinished sign-in


class CallbackInvalid(MSIdentityError):
    """The query of a callback is not one that Microsoft sends."""

    code = "callback_invalid"
    title = _("The answer that came back from Microsoft was incomplete.")


class FormUnreadable(MSIdentityError):
    """A form came in a charset or with text that cannot be read."""

    code = "form_unreadable"
    title = _("What you sent could not be read.")
    advice = _("Please go back and send it again.")


class EmbeddedRefused(MSIdentityError):
    """A page tried to start a sign-in in a frame, an image or a script (Fetch Metadata)."""

    code = "embedded_refused"
    status = HTTPStatus.FORBIDDEN
    title = _("A sign-in cannot start inside another page.")
    advice = _("Please open the sign-in page directly.")


class FlowMissing(MSIdentityError):
    """The browser brought no cookie for this state: other browser, blocked cookies, or too late."""

    code = "flow_missing"
    title = _("This sign-in was not started in this browser, or it took too long.")
    advice = _("Please sign in again. If it keeps happening, allow cookies for this site.")


class FlowExpired(MSIdentityError):
    code = "flow_expired"
    title = _("This sign-in took too long.")


class FlowInvalid(MSIdentityError):
    """The flow cookie is duplicated or was changed; DESIGN 5.1."""

    code = "flow_invalid"
    title = _("This sign-in could not be matched to this browser.")


class FlowMismatch(MSIdentityError):
    """The callback belongs to another provider, host or session than the one that started."""

    code = "flow_mismatch"
    title = _("This sign-in was started somewhere else.")


class FlowReplayed(MSIdentityError):
    code = "flow_replayed"
    title = _("This sign-in was already used.")
    advice = _("You may be signed in already. If not, please sign in again.")


# Microsoft's side


class MicrosoftUnavailable(MSIdentityError):
    """Microsoft did not answer, answered late, or asked us to wait."""

    code = "microsoft_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = _("Microsoft is not answering right now.")
    advice = _("Please wait a minute and try again.")


class MicrosoftAnswerInvalid(MSIdentityError):
    """Microsoft's answer was not what the protocol promises."""

    code = "microsoft_answer_invalid"
    status = HTTPStatus.BAD_GATEWAY
    title = _("Microsoft's answer could not be understood.")
    advice = _("Please try again. If it keeps happening, tell the people who run this site.")


class MicrosoftRefused(MSIdentityError):
    """Microsoft refused for a reason that has no leaf of its own."""

    code = "microsoft_refused"
    title = _("Microsoft did not let you sign in.")
    advice = _("Please try again. If it keeps happening, tell the people who run this site.")


class SignInCancelled(MSIdentityError):
    code = "sign_in_cancelled"
    title = _("You stopped the sign-in at Microsoft.")
    advice = _("To continue, sign in again and accept what Microsoft asks.")


class ConsentRequired(MSIdentityError):
    code = "consent_required"
    status = HTTPStatus.FORBIDDEN
    title = _("Your organisation has not approved this site yet.")
    advice = _("Please ask your organisation's IT administrators to approve it.")


class AccountNotAllowed(MSIdentityError):
    code = "account_not_allowed"
    status = HTTPStatus.FORBIDDEN
    title = _("This Microsoft account may not be used here.")
    advice = _("Please choose another account, or ask your administrators for access.")


class AccountBlocked(MSIdentityError):
    code = "account_blocked"
    status = HTTPStatus.FORBIDDEN
    title = _("Microsoft says that this account cannot sign in now.")
    advice = _("Please ask your organisation's IT support about your Microsoft account.")


class PolicyBlocked(MSIdentityError):
    code = "policy_blocked"
    status = HTTPStatus.FORBIDDEN
    title = _("A rule of your organisation blocked this sign-in.")
    advice = _("Please ask your organisation's IT support, or try from another device or network.")


class InteractionRequired(MSIdentityError):
    code = "interaction_required"
    title = _("Microsoft needs something more from you.")
    advice = _("Please sign in again and follow the steps that Microsoft shows.")


class CodeExpired(MSIdentityError):
    code = "code_expired"
    title = _("This sign-in was already used or took too long.")


class ClientMisconfigured(MSIdentityError):
    """The app registration and our settings do not fit together."""

    code = "client_misconfigured"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = _("Sign-in is not set up correctly on this site.")
    advice = _TELL_OPERATOR


class TokenRejected(MSIdentityError):
    """The ID token failed verification; DESIGN 5.3."""

    code = "token_rejected"
    status = HTTPStatus.FORBIDDEN
    title = _("Microsoft's answer could not be verified.")


class TenantNotAllowed(MSIdentityError):
    code = "tenant_not_allowed"
    status = HTTPStatus.FORBIDDEN
    title = _("Accounts of your organisation may not sign in here.")
    advice = _("Please choose an account of an organisation that may use this site.")


class SubjectMissing(MSIdentityError):
    """The configured subject source has no value for this person."""

    code = "subject_missing"
    status = HTTPStatus.BAD_GATEWAY
    title = _("Microsoft did not say who you are.")
    advice = _TELL_OPERATOR


class SubjectMismatch(MSIdentityError):
    """Graph named another person than the ID token did."""

    code = "subject_mismatch"
    status = HTTPStatus.FORBIDDEN
    title = _("Microsoft's answers contradict each other.")


# Claims and mapper


class ClaimsInvalid(MSIdentityError):
    """A known claim has a type that Kratos' claims struct does not accept, or cannot be encoded."""

    code = "claims_invalid"
    status = HTTPStatus.BAD_GATEWAY
    title = _("Microsoft sent details about you that we cannot read.")
    advice = _TELL_OPERATOR


class MapperFailed(MSIdentityError):
    """Stand for any failure of the Jsonnet mapper; never raised itself."""

    code = "mapper_failed"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = _("We could not set up your account.")
    advice = _TELL_OPERATOR


class MapperUnavailable(MapperFailed):
    """The mapper's source could not be read."""

    code = "mapper_unavailable"


class MapperSyntaxInvalid(MapperFailed):
    code = "mapper_syntax_invalid"


class MapperRuntimeFailed(MapperFailed):
    """The mapper raised an error for these claims; its text may hold claims, so it is not kept."""

    code = "mapper_runtime_failed"


class MapperImportRefused(MapperFailed):
    code = "mapper_import_refused"


class MapperTimedOut(MapperFailed):
    code = "mapper_timed_out"


class MapperCrashed(MapperFailed):
    code = "mapper_crashed"


class MapperBusy(MapperFailed):
    code = "mapper_busy"
    title = _("Many people are signing in right now.")
    advice = _("Please wait a moment and try again.")


class MapperOutputTooLarge(MapperFailed):
    code = "mapper_output_too_large"


class MapperResultInvalid(MapperFailed):
    """The mapper's output has the wrong shape; every fault is named."""

    code = "mapper_result_invalid"

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults), hint="Mend the mapper: each fault names a path of its output.")
        self.faults = faults


# Identity schema


class SchemaUnavailable(MSIdentityError):
    """The identity schema could not be read."""

    code = "schema_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = _("We could not set up your account.")
    advice = _TELL_OPERATOR


class SchemaInvalid(MSIdentityError):
    """The identity schema cannot be used; every fault is named."""

    code = "schema_invalid"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = _("We could not set up your account.")
    advice = _TELL_OPERATOR

    def __init__(self, *faults: str) -> None:
        super().__init__(
            "; ".join(faults), hint="Mend the identity schema: each fault names a place in it, as in a $ref."
        )
        self.faults = faults


class TraitsInvalid(MSIdentityError):
    """What a mapper or a web hook made does not pass the identity schema, and nobody can be asked."""

    code = "traits_invalid"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = _("We could not set up your account.")
    advice = _TELL_OPERATOR

    def __init__(self, *traits: str) -> None:
        super().__init__(
            f"the identity schema refuses these traits: {', '.join(traits)}",
            hint="Mend the mapper or the web hook that makes them, or the identity schema.",
        )
        self.traits = traits
        """Their paths with dots."""


class TraitNotAskable(MSIdentityError):
    """A trait is missing or invalid, and no form can ask for what the identity schema wants there."""

    code = "trait_not_askable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = _("We miss something about you that this page cannot ask for.")
    advice = _TELL_OPERATOR

    def __init__(self, trait: str, reason: str) -> None:
        super().__init__(
            f"a form cannot ask for the trait {trait}: {reason}",
            hint="Let the mapper supply it, or make it optional in the identity schema.",
        )
        self.trait = trait
        """Its path with dots, for whoever shows the refusal."""


# Identities


class RegistrationDisabled(MSIdentityError):
    code = "registration_disabled"
    status = HTTPStatus.FORBIDDEN
    title = _("This site does not accept new accounts.")
    advice = _("If you should have access, ask the people who run this site.")


class RegistrationRefused(MSIdentityError):
    """Raise it from a receiver of ``identity_registering`` to veto a registration."""

    code = "registration_refused"
    status = HTTPStatus.FORBIDDEN
    title = _("This site did not accept your registration.")
    advice = _("If you should have access, ask the people who run this site.")


class SignInRefused(MSIdentityError):
    """Raise it from a receiver of ``identity_signing_in`` to veto a session."""

    code = "sign_in_refused"
    status = HTTPStatus.FORBIDDEN
    title = _("This site did not let you sign in.")
    advice = _("If you should have access, ask the people who run this site.")


class IdentityInactive(MSIdentityError):
    code = "identity_inactive"
    status = HTTPStatus.FORBIDDEN
    title = _("This account has been disabled.")
    advice = _("Please ask the people who run this site.")


class UserInactive(MSIdentityError):
    code = "user_inactive"
    status = HTTPStatus.FORBIDDEN
    title = _("This account has been disabled.")
    advice = _("Please ask the people who run this site.")


class AccountExists(MSIdentityError):
    """A trusted address of a new subject belongs to an existing user; DESIGN 5.6."""

    code = "account_exists"
    status = HTTPStatus.CONFLICT
    title = _("There is already an account here with your e-mail address.")
    advice = _("Please sign in the way you did before.")

    def __init__(self, detail: str = "", *, users: tuple[AbstractBaseUser, ...] = (), hint: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.users = users
        """Whose the address is; nobody where only the user model's own rule says that it is taken."""


class EmailUnverified(MSIdentityError):
    """The user model needs an e-mail address and Microsoft vouches for none; DESIGN 2.7."""

    code = "email_unverified"
    status = HTTPStatus.FORBIDDEN
    title = _("We need an e-mail address that your organisation vouches for.")
    advice = _("Please choose another account, or ask the people who run this site.")


class AddressUnverified(MSIdentityError):
    """The hook ``require_verified_address`` found no verified address of the identity."""

    code = "address_unverified"
    status = HTTPStatus.FORBIDDEN
    title = _("We need to know an address of yours that has been verified.")
    advice = _("Please choose another account, or ask the people who run this site.")


class TenantChanged(MSIdentityError):
    """A known subject came with another tenant than the stored one; DESIGN 5.6."""

    code = "tenant_changed"
    status = HTTPStatus.FORBIDDEN
    title = _("This account does not match the one we know.")
    advice = _TELL_OPERATOR


class UserInvalid(MSIdentityError):
    """The project's user model refuses what was mapped; every fault is named."""

    code = "user_invalid"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = _("We could not set up your account.")
    advice = _TELL_OPERATOR


class HookFailed(MSIdentityError):
    """A hook failed; the identity stays as it is; DESIGN 2.6."""

    code = "hook_failed"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = _("Something went wrong after we recognised you.")
    advice = _("Please try again. If it keeps happening, tell the people who run this site.")


class WebHookFailed(MSIdentityError):
    """A web hook, or the template of its body, did not do what its configuration says."""

    code = "web_hook_failed"
    status = HTTPStatus.BAD_GATEWAY
    title = _("A service that this site relies on did not work as expected.")
    advice = _("Please try again later. If it keeps happening, tell the people who run this site.")


class WebHookUnreachable(MSIdentityError):
    """A web hook could not be reached, may not be reached, or did not answer in time."""

    code = "web_hook_unreachable"
    status = HTTPStatus.GATEWAY_TIMEOUT
    title = _("A service that this site relies on is not answering.")
    advice = _("Please try again later. If it keeps happening, tell the people who run this site.")


class WebHookRefused(MSIdentityError):
    """A web hook said no, in words for the visitor."""

    code = "web_hook_refused"
    status = HTTPStatus.FORBIDDEN
    title = _("This site did not accept your details.")
    advice = _("If you should have access, ask the people who run this site.")

    def __init__(self, detail: str = "", *, messages: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.messages = messages
        """Plain text of another server: short, one line each, and to be escaped where it is shown."""


# Unfinished steps, links and proofs of who somebody is


class DatabaseBusy(MSIdentityError):
    """Other requests hold what this one needs, and it has tried for long enough."""

    code = "database_busy"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = _("Too many people are doing the same thing right now.")
    advice = _("Nothing is lost. Please try again in a moment.")


class PendingMissing(MSIdentityError):
    """Nothing waits for this browser: it was finished, it took too long, or cookies are blocked."""

    code = "pending_missing"
    title = _("There is nothing left to finish here.")
    advice = _("It may have taken too long. Please sign in again.")


class LinkMismatch(MSIdentityError):
    """Somebody else signed in than the one whose address the Microsoft account has; DESIGN 5.6."""

    code = "link_mismatch"
    status = HTTPStatus.FORBIDDEN
    title = _("You are signed in to another account than the one to connect.")
    advice = _("Nothing was connected. Sign out, then sign in to the account with that e-mail address.")


class CredentialTaken(MSIdentityError):
    """The Microsoft account is linked to another identity."""

    code = "credential_taken"
    status = HTTPStatus.CONFLICT
    title = _("This Microsoft account already belongs to another account here.")
    advice = _("Sign in with it to use that account, or choose another Microsoft account.")


class LastCredential(MSIdentityError):
    """Without this credential the person could not sign in any more."""

    code = "last_credential"
    status = HTTPStatus.CONFLICT
    title = _("This is your only way to sign in, so it cannot be removed.")
    advice = _("Set a password or connect another account first.")


class CredentialMissing(MSIdentityError):
    """The person has no such Microsoft account connected (any more)."""

    code = "credential_missing"
    status = HTTPStatus.NOT_FOUND
    title = _("This Microsoft account is not connected to your account.")
    advice = _("Please look at what is connected now.")


class ReauthenticationFailed(MSIdentityError):
    """Nothing proves that the person has just shown anew who they are; DESIGN section 7."""

    code = "reauthentication_failed"
    status = HTTPStatus.FORBIDDEN
    title = _("We could not confirm that it is you.")
    advice = _("Nothing was changed. Please try again.")


class StepUpFailed(MSIdentityError):
    """The sign-in came back without the second factor that was asked for."""

    code = "step_up_failed"
    status = HTTPStatus.FORBIDDEN
    title = _("This page needs a sign-in with a second factor.")
    advice = _("Please set one up for your Microsoft account, or ask the people who run this site.")
