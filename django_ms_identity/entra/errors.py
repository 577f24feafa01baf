"""Map Microsoft's error codes (AADSTS) to exceptions, each with a hint for the operator.

Source: learn.microsoft.com, "Microsoft Entra authentication and authorization error codes". Microsoft
asks not to branch on them, so an unknown code falls back to what OAuth's own ``error`` says.
"""

from __future__ import annotations

import re

from django_ms_identity.exceptions import (
    AccountBlocked,
    AccountNotAllowed,
    ClientMisconfigured,
    CodeExpired,
    ConsentRequired,
    InteractionRequired,
    MicrosoftRefused,
    MicrosoftUnavailable,
    MSIdentityError,
    PolicyBlocked,
    SignInCancelled,
)

_ERROR = re.compile(r"[a-z_]{1,64}", re.ASCII)
_CODE = re.compile(r"AADSTS(\d{4,7})\b", re.ASCII)
_TRACE = re.compile(
    r"Trace ID: ([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})", re.ASCII | re.IGNORECASE
)

_CATALOGUE: tuple[tuple[type[MSIdentityError], str, tuple[int, ...]], ...] = (
    (
        AccountNotAllowed,
        "This account is not in the tenant that signs people in here. The visitor should choose another "
        "account, or be invited to the tenant as a guest.",
        (16000, 50020, 500208),
    ),
    (
        AccountNotAllowed,
        "The directory does not know this user. Check microsoft_tenant, or invite the user.",
        (50034, 51004, 50014),
    ),
    (
        AccountNotAllowed,
        "The user is not assigned to the application. Assign the user or a group under Enterprise "
        "applications > Users and groups, or turn off 'Assignment required'.",
        (50105,),
    ),
    (
        AccountBlocked,
        "The account is locked out, or the address is known for attacks. See the sign-in logs in Entra.",
        (50053,),
    ),
    (AccountBlocked, "The password has expired; the user must change it at Microsoft.", (50055, 50144)),
    (AccountBlocked, "The user is disabled in Entra. Enable the account if it should sign in.", (50057,)),
    (AccountBlocked, "Wrong user name or password at Microsoft.", (50126,)),
    (
        AccountBlocked,
        "Microsoft sees a risk for this user. Remediate it under Identity Protection in Entra.",
        (53004, 53011),
    ),
    (InteractionRequired, "There is no session at Microsoft; an interactive sign-in is needed.", (50058,)),
    (
        InteractionRequired,
        "Multi-factor authentication or its registration is required; an interactive sign-in does it.",
        (50072, 50074, 50076, 50079),
    ),
    (
        InteractionRequired,
        "Multi-factor authentication or the sign-in frequency has expired; sign in again.",
        (50078, 70043),
    ),
    (
        InteractionRequired,
        "An external security challenge was not met; check the other MFA product.",
        (50158,),
    ),
    (
        InteractionRequired,
        "The session or grant was revoked or has expired, for example after a password change.",
        (50173, 50089, 50132, 50133),
    ),
    (
        PolicyBlocked,
        "Conditional Access blocked the sign-in. The sign-in logs in Entra name the policy.",
        (50131, 53003, 530032),
    ),
    (PolicyBlocked, "The device is not compliant or not joined. Enrol it.", (53000, 53001)),
    (
        PolicyBlocked,
        "Tenant restrictions or cross-tenant access settings block this. The network's or the tenant's "
        "administrators must allow it.",
        (500021, 500022, 500212, 500213),
    ),
    (
        ConsentRequired,
        "Nobody has consented to the application. Grant admin consent under API permissions in Entra.",
        (65001,),
    ),
    (
        ConsentRequired,
        "An administrator must consent. Grant admin consent under API permissions in Entra, or answer the "
        "request in the admin consent workflow.",
        (90094, 90095),
    ),
    (SignInCancelled, "The visitor declined the consent.", (65004,)),
    (
        CodeExpired,
        "The code was redeemed before: a double click, the back button, or two servers behind one address.",
        (54005,),
    ),
    (
        CodeExpired,
        "The code has expired or was revoked (about 10 minutes). Check this server's clock.",
        (70000, 70008, 700082),
    ),
    (
        CodeExpired,
        "The PKCE verifier did not fit: this callback belongs to another sign-in than the one that started.",
        (501481, 50147),
    ),
    (
        ClientMisconfigured,
        "The redirect URI is not registered. `manage.py ms_identity check` prints the exact one; add it "
        "in Entra under Authentication > Web.",
        (50011,),
    ),
    (
        ClientMisconfigured,
        "The app is registered for a single tenant but 'common' or 'organizations' was asked. Set "
        "microsoft_tenant to the Directory (tenant) ID.",
        (50194,),
    ),
    (ClientMisconfigured, "Microsoft sees a redirect loop. Check LOGIN_URL and what it needs.", (50196,)),
    (
        ClientMisconfigured,
        "A scope or its resource is unknown or not granted. Check 'scope' and API permissions in Entra.",
        (500011, 650057, 70011),
    ),
    (
        ClientMisconfigured,
        "The organisation does not subscribe to a service that the app asks for, or the app registration "
        "is incomplete. Check API permissions and grant admin consent.",
        (650052, 650056),
    ),
    (
        ClientMisconfigured,
        "The tenant does not know this application. Check client_id and microsoft_tenant.",
        (700016, 700011),
    ),
    (ClientMisconfigured, "The code was redeemed at another tenant's endpoint than it came from.", (700005,)),
    (
        ClientMisconfigured,
        "The app is registered as a public client. Register the redirect URI under the Web platform.",
        (700025,),
    ),
    (
        ClientMisconfigured,
        "The client's signature is wrong. Check the uploaded certificate and this server's clock.",
        (700027, 50012),
    ),
    (
        ClientMisconfigured,
        "The application is disabled. Enable it under Enterprise applications > Properties.",
        (7000112, 70001),
    ),
    (
        ClientMisconfigured,
        "The client secret is wrong. Set client_secret to the secret's Value, not to its Secret ID.",
        (7000215, 70002),
    ),
    (ClientMisconfigured, "No client secret arrived at Microsoft. Set client_secret.", (7000218,)),
    (
        ClientMisconfigured,
        "The client secret has EXPIRED. Create a new one in Entra under Certificates & secrets and set "
        "client_secret to its Value.",
        (7000222,),
    ),
    (
        ClientMisconfigured,
        "Microsoft calls the request malformed. Keep the log lines and report it to this app's authors.",
        (9002313, 90014, 900144),
    ),
    (
        ClientMisconfigured,
        "The redirect URI is registered under Single-page application. Move it to the Web platform.",
        (9002325, 9002327),
    ),
    (
        ClientMisconfigured,
        "The app may not be used with this tenant value. Use 'organizations' or the tenant's ID, or change "
        "the supported account types in Entra.",
        (9002332, 90130, 90124, 9001023),
    ),
    (
        ClientMisconfigured,
        "The tenant does not exist in this cloud. Check microsoft_tenant and cloud.",
        (90002,),
    ),
    (
        ClientMisconfigured,
        "The account lives in another national cloud. Check cloud.",
        (90038, 900382, 900432),
    ),
    (
        MicrosoftUnavailable,
        "Microsoft has a passing fault or asks to slow down. See status.cloud.microsoft.",
        (90033, 90006, 90012, 90024, 90055, 50000, 50033, 70012),
    ),
)

CODES: dict[int, tuple[type[MSIdentityError], str]] = {
    code: (exception, hint) for exception, hint, codes in _CATALOGUE for code in codes
}
"""Exception class and hint by AADSTS code."""

_ERRORS: dict[str, tuple[type[MSIdentityError], str]] = {
    "access_denied": (SignInCancelled, "The visitor or an administrator declined."),
    "consent_required": (ConsentRequired, "Grant admin consent under API permissions in Entra."),
    "interaction_required": (InteractionRequired, "An interactive sign-in is needed."),
    "login_required": (InteractionRequired, "An interactive sign-in is needed."),
    "invalid_grant": (CodeExpired, "The code was used before or has expired."),
    "invalid_client": (ClientMisconfigured, "Check client_id and client_secret."),
    "unauthorized_client": (ClientMisconfigured, "Check client_id and the supported account types in Entra."),
    "invalid_request": (ClientMisconfigured, "Microsoft calls the request malformed."),
    "invalid_resource": (ClientMisconfigured, "Check 'scope' and API permissions in Entra."),
    "invalid_scope": (ClientMisconfigured, "Check 'scope' and API permissions in Entra."),
    "unsupported_response_type": (ClientMisconfigured, "Register the redirect URI under the Web platform."),
    "unsupported_grant_type": (ClientMisconfigured, "Register the redirect URI under the Web platform."),
    "server_error": (MicrosoftUnavailable, "Microsoft has a passing fault."),
    "temporarily_unavailable": (MicrosoftUnavailable, "Microsoft has a passing fault."),
}

_UNKNOWN = (MicrosoftRefused, "Look the code up at login.microsoftonline.com/error.")


def error_for(error: object, description: object) -> MSIdentityError:
    """Return the exception for an OAuth error answer (RFC 6749 sections 4.1.2.1 and 5.2).

    The texts of the answer come from outside and are never shown or logged.
    """
    name = error if isinstance(error, str) and _ERROR.fullmatch(error) else "unknown"
    text = description[:4096] if isinstance(description, str) else ""
    trace = _TRACE.search(text)
    trace_id = trace.group(1).lower() if trace else ""
    code = _CODE.match(text)
    shown = f"{name} (AADSTS{code.group(1)})" if code else name
    known = CODES.get(int(code.group(1))) if code else None
    exception, hint = known or _ERRORS.get(name, _UNKNOWN)
    return exception(f"Microsoft answered {shown}", hint=hint, trace_id=trace_id)
