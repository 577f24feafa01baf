"""Why a sign-in is refused: one base, five families, one class per cause.

A family sets the HTTP ``status`` and says what the visitor can do; a class of a cause adds its stable
``code`` and only what differs. ``title`` (what happened) and ``advice`` (what to do) are shown to the
visitor. The message and the ``hint`` are for the operator and are never shown to a visitor. None of them
holds a secret.

    MSIdentityError             never raised itself, and neither is a family
        SignInInterrupted   400  start the sign-in again
        AccessRefused       403  choose another account, or ask for access
        AccountConflict     409  look at the accounts that are connected here
        TemporaryFailure    503  try again later
        SetupFault          503  tell the operator
            MapperFailed
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser
    from django.utils.functional import _StrOrPromise

_TRY_AGAIN = _("Please try to sign in again.")


class MSIdentityError(Exception):
    """Base of all refusals; never raised itself."""

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


class SignInInterrupted(MSIdentityError):
    """Family: this attempt cannot be finished, a new one can."""


class AccessRefused(MSIdentityError):
    """Family: this person, account or request is not let in."""

    status = HTTPStatus.FORBIDDEN
    advice = _("If you should have access, ask the people who run this site.")


class AccountConflict(MSIdentityError):
    """Family: the Microsoft account and the accounts of this site do not fit together."""

    status = HTTPStatus.CONFLICT


class TemporaryFailure(MSIdentityError):
    """Family: something that the sign-in relies on failed and may work later."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    advice = _("Please try again. If it keeps happening, tell the people who run this site.")


class SetupFault(MSIdentityError):
    """Family: only the operator can correct the cause."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = _("We could not set up your account.")
    advice = _("Please tell the people who run this site, and give them the code below.")


class _FaultList(MSIdentityError):
    """Mixin for a class that names several faults at once."""

    remedy: ClassVar[str]
    """The hint of all of them."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults), hint=self.remedy)
        self.faults = faults


# Configuration


class ConfigurationInvalid(_FaultList, SetupFault):
    """Raised when the settings or the environment have faults; lists all of them."""

    code = "configuration_invalid"
    title = _("Sign-in is not set up correctly on this site.")
    remedy = "Run `manage.py check` and correct what it names."


class ProviderUnknown(SignInInterrupted):
    """Raised when no provider of the settings has the id in the URL."""

    code = "provider_unknown"
    status = HTTPStatus.NOT_FOUND
    title = _("This way to sign in does not exist.")
    advice = _("Please go to the sign-in page and choose one from there.")


# Start and callback


class EmbeddedRefused(AccessRefused):
    """Raised when a page starts a sign-in in a frame, an image or a script (Fetch Metadata)."""

    code = "embedded_refused"
    title = _("A sign-in cannot start inside another page.")
    advice = _("Please open the sign-in page directly.")


class CallbackInvalid(SignInInterrupted):
    """Raised when the query of a callback is not one that Microsoft sends."""

    code = "callback_invalid"
    title = _("The answer that came back from Microsoft was incomplete.")


class FormUnreadable(SignInInterrupted):
    """Raised when a form comes in a charset or with text that cannot be read."""

    code = "form_unreadable"
    title = _("What you sent could not be read.")
    advice = _("Please go back and send it again.")


class FlowMissing(SignInInterrupted):
    """Raised when the browser sends no cookie for this state: another browser, no cookies, or too late."""

    code = "flow_missing"
    title = _("This sign-in was not started in this browser, or it took too long.")
    advice = _("Please sign in again. If it keeps happening, allow cookies for this site.")


class FlowExpired(SignInInterrupted):
    """Raised when the callback comes later than ``FLOW_LIFESPAN`` after the start."""

    code = "flow_expired"
    title = _("This sign-in took too long.")


class FlowInvalid(SignInInterrupted):
    """Raised when the flow cookie came twice, or cannot be opened: changed, or sealed with another key."""

    code = "flow_invalid"
    title = _("This sign-in could not be matched to this browser.")


class FlowMismatch(SignInInterrupted):
    """Raised when the callback's provider, host or session is not the one that started."""

    code = "flow_mismatch"
    title = _("This sign-in was started somewhere else.")


class FlowReplayed(SignInInterrupted):
    """Raised when the state was used before."""

    code = "flow_replayed"
    title = _("This sign-in was already used.")
    advice = _("You may be signed in already. If not, please sign in again.")


# Microsoft's answers


class MicrosoftUnavailable(TemporaryFailure):
    """Raised when Microsoft does not answer, answers late, or asks to wait."""

    code = "microsoft_unavailable"
    title = _("Microsoft is not answering right now.")
    advice = _("Please wait a minute and try again.")


class MicrosoftAnswerInvalid(TemporaryFailure):
    """Raised when Microsoft's answer is not what the protocol promises."""

    code = "microsoft_answer_invalid"
    status = HTTPStatus.BAD_GATEWAY
    title = _("Microsoft's answer could not be understood.")


class MicrosoftRefused(SignInInterrupted):
    """Raised when Microsoft refuses for a reason that has no class of its own."""

    code = "microsoft_refused"
    title = _("Microsoft did not let you sign in.")
    advice = TemporaryFailure.advice


class SignInCancelled(SignInInterrupted):
    """Raised when the visitor turned back at Microsoft or declined the consent."""

    code = "sign_in_cancelled"
    title = _("You stopped the sign-in at Microsoft.")
    advice = _("To continue, sign in again and accept what Microsoft asks.")


class ConsentRequired(AccessRefused):
    """Raised when an administrator of the tenant has to consent to the application."""

    code = "consent_required"
    title = _("Your organisation has not approved this site yet.")
    advice = _("Please ask your organisation's IT administrators to approve it.")


class AccountNotAllowed(AccessRefused):
    """Raised when the account is not in the tenant, or is not assigned to the application."""

    code = "account_not_allowed"
    title = _("This Microsoft account may not be used here.")
    advice = _("Please choose another account, or ask your administrators for access.")


class AccountBlocked(AccessRefused):
    """Raised when Microsoft does not let the account sign in, for example a disabled or locked one."""

    code = "account_blocked"
    title = _("Microsoft says that this account cannot sign in now.")
    advice = _("Please ask your organisation's IT support about your Microsoft account.")


class PolicyBlocked(AccessRefused):
    """Raised when Conditional Access or tenant restrictions block the sign-in."""

    code = "policy_blocked"
    title = _("A rule of your organisation blocked this sign-in.")
    advice = _("Please ask your organisation's IT support, or try from another device or network.")


class InteractionRequired(SignInInterrupted):
    """Raised when Microsoft wants another step, for example multi-factor authentication."""

    code = "interaction_required"
    title = _("Microsoft needs something more from you.")
    advice = _("Please sign in again and follow the steps that Microsoft shows.")


class CodeExpired(SignInInterrupted):
    """Raised when the authorization code was redeemed before, has expired, or belongs to another sign-in."""

    code = "code_expired"
    title = _("This sign-in was already used or took too long.")


class ClientMisconfigured(SetupFault):
    """Raised when the app registration and the settings do not fit together."""

    code = "client_misconfigured"
    title = _("Sign-in is not set up correctly on this site.")


class TokenRejected(AccessRefused):
    """Raised when the ID token fails verification (OpenID Connect Core section 3.1.3.7)."""

    code = "token_rejected"
    title = _("Microsoft's answer could not be verified.")
    advice = _TRY_AGAIN


class TenantNotAllowed(AccessRefused):
    """Raised when ``microsoft_tenant`` or ``allowed_tenants`` does not let the account's tenant in."""

    code = "tenant_not_allowed"
    title = _("Accounts of your organisation may not sign in here.")
    advice = _("Please choose an account of an organisation that may use this site.")


class SubjectMissing(SetupFault):
    """Raised when the configured subject source has no value for this person."""

    code = "subject_missing"
    status = HTTPStatus.BAD_GATEWAY
    title = _("Microsoft did not say who you are.")


class SubjectMismatch(AccessRefused):
    """Raised when Microsoft Graph names another person than the ID token."""

    code = "subject_mismatch"
    title = _("Microsoft's answers contradict each other.")
    advice = _TRY_AGAIN


# Claims and mapper


class ClaimsInvalid(SetupFault):
    """Raised when a claim has a type that Kratos' claims struct does not accept, or cannot be encoded."""

    code = "claims_invalid"
    status = HTTPStatus.BAD_GATEWAY
    title = _("Microsoft sent details about you that we cannot read.")


class MapperFailed(SetupFault):
    """Base of all failures of the mapper; never raised itself. Its code is that of a mapper in Python."""

    code = "mapper_failed"


class MapperUnavailable(MapperFailed):
    """Raised when the mapper's source cannot be read, or its Python function cannot be used."""

    code = "mapper_unavailable"


class MapperSyntaxInvalid(MapperFailed):
    """Raised when the mapper is not valid Jsonnet."""

    code = "mapper_syntax_invalid"


class MapperRuntimeFailed(MapperFailed):
    """Raised when the mapper fails for these claims; its text may hold claims and is not kept."""

    code = "mapper_runtime_failed"


class PythonMapperFailed(MapperFailed):
    """Raised when a mapper in Python raises an exception; its text may hold claims and is not kept."""


class MapperImportRefused(MapperFailed):
    """Raised when the mapper imports a file."""

    code = "mapper_import_refused"


class MapperTimedOut(MapperFailed):
    """Raised when the mapper takes longer than ``MAPPER_TIMEOUT``."""

    code = "mapper_timed_out"


class MapperCrashed(MapperFailed):
    """Raised when the process that runs the mapper dies."""

    code = "mapper_crashed"


class MapperBusy(MapperFailed):
    """Raised when no process that runs mappers becomes free in time."""

    code = "mapper_busy"
    title = _("Many people are signing in right now.")
    advice = _("Please wait a moment and try again.")


class MapperOutputTooLarge(MapperFailed):
    """Raised when the mapper's output is larger than the limit."""

    code = "mapper_output_too_large"


class MapperResultInvalid(_FaultList, MapperFailed):
    """Raised when the mapper's output has the wrong shape; lists all faults."""

    code = "mapper_result_invalid"
    remedy = "Correct the mapper: each fault names a path of its output."


# Identity schema


class SchemaUnavailable(SetupFault):
    """Raised when the identity schema cannot be read."""

    code = "schema_unavailable"


class SchemaInvalid(_FaultList, SetupFault):
    """Raised when the identity schema cannot be used; lists all faults."""

    code = "schema_invalid"
    remedy = "Correct the identity schema: each fault names a place in it, as in a $ref."


class TraitsInvalid(SetupFault):
    """Raised when traits of a mapper or a web hook do not pass the identity schema and no form can ask."""

    code = "traits_invalid"

    def __init__(self, *traits: str) -> None:
        super().__init__(
            f"the identity schema refuses these traits: {', '.join(traits)}",
            hint="Correct the mapper or the web hook that makes them, or the identity schema.",
        )
        self.traits = traits
        """Their paths with dots."""


class TraitNotAskable(SetupFault):
    """Raised when a trait is missing or invalid and no form can ask for what the identity schema wants."""

    code = "trait_not_askable"
    title = _("We miss something about you that this page cannot ask for.")

    def __init__(self, trait: str, reason: str) -> None:
        super().__init__(
            f"a form cannot ask for the trait {trait}: {reason}",
            hint="Let the mapper supply it, or make it optional in the identity schema.",
        )
        self.trait = trait
        """Its path with dots."""


# Identities


class RegistrationDisabled(AccessRefused):
    """Raised when a person has no identity here and ``REGISTRATION_ENABLED`` is off."""

    code = "registration_disabled"
    title = _("This site does not accept new accounts.")


class RegistrationRefused(AccessRefused):
    """Raise it from a receiver of ``identity_registering`` to veto a registration."""

    code = "registration_refused"
    title = _("This site did not accept your registration.")


class SignInRefused(AccessRefused):
    """Raise it from a receiver of ``identity_signing_in`` to veto a session."""

    code = "sign_in_refused"
    title = _("This site did not let you sign in.")


class IdentityInactive(AccessRefused):
    """Raised when the identity's state is ``inactive``."""

    code = "identity_inactive"
    title = _("This account has been disabled.")
    advice = _("Please ask the people who run this site.")


class UserInactive(AccessRefused):
    """Raised when the Django user is not active, or was deleted in the meantime."""

    code = "user_inactive"
    title = IdentityInactive.title
    advice = IdentityInactive.advice


class TenantChanged(AccessRefused):
    """Raised when a known subject comes from another tenant than the stored one: it may be another person."""

    code = "tenant_changed"
    title = _("This account does not match the one we know.")
    advice = SetupFault.advice


class EmailUnverified(AccessRefused):
    """Raised when the user model needs an e-mail address and none can be trusted to be the person's own."""

    code = "email_unverified"
    title = _("We need an e-mail address that your organisation vouches for.")
    advice = _("Please choose another account, or ask the people who run this site.")


class AddressUnverified(AccessRefused):
    """Raised by the hook ``require_verified_address`` when the identity has no verified address."""

    code = "address_unverified"
    title = _("We need to know an address of yours that has been verified.")
    advice = EmailUnverified.advice


class UserInvalid(SetupFault):
    """Raised when the project's user model or the database refuses what was mapped."""

    code = "user_invalid"


class DatabaseBusy(TemporaryFailure):
    """Raised when a transaction lost to others several times, or a lock did not come free in time."""

    code = "database_busy"
    title = _("Too many people are doing the same thing right now.")
    advice = _("Nothing is lost. Please try again in a moment.")


# Hooks


class HookFailed(TemporaryFailure):
    """Raised when a function in ``HOOKS`` fails; the identity stays as it is."""

    code = "hook_failed"
    title = _("Something went wrong after we recognised you.")


class WebHookFailed(TemporaryFailure):
    """Raised when a web hook, or the template of its body, does not do what its configuration says."""

    code = "web_hook_failed"
    status = HTTPStatus.BAD_GATEWAY
    title = _("A service that this site relies on did not work as expected.")
    advice = _("Please try again later. If it keeps happening, tell the people who run this site.")


class WebHookUnreachable(TemporaryFailure):
    """Raised when a web hook cannot be reached, may not be reached, or does not answer in time."""

    code = "web_hook_unreachable"
    status = HTTPStatus.GATEWAY_TIMEOUT
    title = _("A service that this site relies on is not answering.")
    advice = WebHookFailed.advice


class WebHookRefused(AccessRefused):
    """Raised when a web hook refuses the person, with messages for the visitor."""

    code = "web_hook_refused"
    title = _("This site did not accept your details.")

    def __init__(self, detail: str = "", *, messages: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.messages = messages
        """Plain text of another server: short, one line each, and to be escaped where it is shown."""


# Pending steps, linking and re-authentication


class PendingMissing(SignInInterrupted):
    """Raised when no step is pending in this browser: finished, too late, or cookies are blocked."""

    code = "pending_missing"
    title = _("There is nothing left to finish here.")
    advice = _("It may have taken too long. Please sign in again.")


class AccountExists(AccountConflict):
    """Raised when a trusted address of a new subject belongs to an existing user."""

    code = "account_exists"
    title = _("There is already an account here with your e-mail address.")
    advice = _("Please sign in the way you did before.")

    def __init__(self, detail: str = "", *, users: tuple[AbstractBaseUser, ...] = (), hint: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.users = users
        """The users who have the address; empty if only the user model's own rule says that it is taken."""


class LinkMismatch(AccountConflict):
    """Raised when the user who signed in is not the one who has the Microsoft account's address."""

    code = "link_mismatch"
    status = HTTPStatus.FORBIDDEN
    title = _("You are signed in to another account than the one to connect.")
    advice = _("Nothing was connected. Sign out, then sign in to the account with that e-mail address.")


class CredentialTaken(AccountConflict):
    """Raised when the Microsoft account is linked to another identity."""

    code = "credential_taken"
    title = _("This Microsoft account already belongs to another account here.")
    advice = _("Sign in with it to use that account, or choose another Microsoft account.")


class LastCredential(AccountConflict):
    """Raised when the person could not sign in any more without this credential."""

    code = "last_credential"
    title = _("This is your only way to sign in, so it cannot be removed.")
    advice = _("Set a password or connect another account first.")


class CredentialMissing(AccountConflict):
    """Raised when the person has no such Microsoft account connected, or not any more."""

    code = "credential_missing"
    status = HTTPStatus.NOT_FOUND
    title = _("This Microsoft account is not connected to your account.")
    advice = _("Please look at what is connected now.")


class ReauthenticationFailed(AccessRefused):
    """Raised when nothing proves that the person has just authenticated (``auth_time``)."""

    code = "reauthentication_failed"
    title = _("We could not confirm that it is you.")
    advice = _("Nothing was changed. Please try again.")


class StepUpFailed(AccessRefused):
    """Raised when the sign-in comes back without the second factor that was asked for."""

    code = "step_up_failed"
    title = _("This page needs a sign-in with a second factor.")
    advice = _("Please set one up for your Microsoft account, or ask the people who run this site.")
