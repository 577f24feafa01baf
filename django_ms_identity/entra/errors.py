"""Map Microsoft's error codes (AADSTS) to exceptions, each with a hint for the operator.

Source: learn.microsoft.com, "Microsoft Entra authentication and authorization error codes". Microsoft
asks not to branch on them, so an unknown code falls back to what OAuth's own ``error`` says.
"""

from __future__ import annotations

import re

from django_ms_identity import exceptions
from django_ms_identity.exceptions import MSIdentityError

_ERROR = re.compile(r"[a-z_]{1,64}", re.ASCII)
_CODE = re.compile(r"AADSTS(\d{4,7})\b", re.ASCII)
_TRACE = re.compile(
    r"Trace ID: ([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})", re.ASCII | re.IGNORECASE
)

_CATALOGUE: dict[type[MSIdentityError], dict[str, str]] = {
    exceptions.AccountNotAllowed: {
        "16000 50020 500208": "Not in this tenant: choose another account, or invite it as a guest.",
        "50034 51004 50014": "The directory lacks this user. Check microsoft_tenant, or invite the user.",
        "50105": "Assign the user under Enterprise applications, or turn off 'Assignment required' there.",
    },
    exceptions.AccountBlocked: {
        "50053": "The account is locked, or the address is known for attacks. See the sign-in logs in Entra.",
        "50055 50144": "The password has expired; the user must change it at Microsoft.",
        "50057": "The user is disabled in Entra. Enable the account if it should sign in.",
        "50126": "Wrong user name or password at Microsoft.",
        "53004 53011": "Microsoft sees a risk for this user. Remediate it under Identity Protection.",
    },
    exceptions.InteractionRequired: {
        "50058 interaction_required login_required": "An interactive sign-in is needed.",
        "50072 50074 50076 50079": "Multi-factor authentication is required; an interactive sign-in does it.",
        "50078 70043": "Multi-factor authentication or the sign-in frequency has expired; sign in again.",
        "50158": "An external security challenge was not met; check the other MFA product.",
        "50173 50089 50132 50133": "The session or grant was revoked or has expired; sign in again.",
    },
    exceptions.PolicyBlocked: {
        "50131 53003 530032": "Conditional Access blocked the sign-in. Entra's sign-in logs name the policy.",
        "53000 53001": "The device is not compliant or not joined. Enrol it.",
        "500021 500022 500212 500213": "Tenant restrictions or cross-tenant access settings must allow this.",
    },
    exceptions.ConsentRequired: {
        "65001 consent_required": "Grant admin consent under API permissions in Entra.",
        "90094 90095": "An administrator must consent: under API permissions, or by the consent request.",
    },
    exceptions.SignInCancelled: {
        "65004": "The visitor declined the consent.",
        "access_denied": "The visitor or an administrator declined.",
    },
    exceptions.CodeExpired: {
        "54005": "The code was redeemed before: a double click, the back button, or two servers.",
        "70000 70008 700082": "The code has expired (10 minutes) or was revoked. Check this server's clock.",
        "501481 50147": "The PKCE verifier did not fit: this callback belongs to another sign-in.",
        "invalid_grant": "The code was used before or has expired.",
    },
    exceptions.ClientMisconfigured: {
        "50011": "The redirect URI is not registered under Web: `manage.py ms_identity check` prints it.",
        "50194": "The app is registered for one tenant. Set microsoft_tenant to the Directory (tenant) ID.",
        "50196": "Microsoft sees a redirect loop. Check LOGIN_URL and what it needs.",
        "500011 650057 70011 invalid_resource invalid_scope": "Check 'scope' and API permissions in Entra.",
        "650052 650056": "The organisation lacks a service that the app asks for. Check API permissions.",
        "700016 700011": "The tenant does not know this application. Check client_id and microsoft_tenant.",
        "700005": "The code was redeemed at another tenant's endpoint than it came from.",
        "700025": "The app is a public client. Register the redirect URI under the Web platform.",
        "700027 50012": "The client's signature is wrong. Check the certificate and this server's clock.",
        "7000112 70001": "The application is disabled. Enable it under Enterprise applications > Properties.",
        "7000215 70002": "Wrong client secret. Set client_secret to its Value, not to its Secret ID.",
        "7000218": "No client secret arrived at Microsoft. Set client_secret.",
        "7000222": "The client secret has EXPIRED. Create one in Entra and set client_secret to its Value.",
        "9002313 90014 900144 invalid_request": "Microsoft calls the request malformed: report it as a bug.",
        "9002325 9002327": "The redirect URI is under Single-page application. Move it to the Web platform.",
        "9002332 90130 90124 9001023": "Not for this account type. Use 'organizations' or the tenant's ID.",
        "90002": "The tenant does not exist in this cloud. Check microsoft_tenant and cloud.",
        "90038 900382 900432": "The account lives in another national cloud. Check cloud.",
        "invalid_client": "Check client_id and client_secret.",
        "unauthorized_client": "Check client_id and the supported account types in Entra.",
        "unsupported_grant_type unsupported_response_type": "Register the redirect URI under Web.",
    },
    exceptions.MicrosoftUnavailable: {
        "90033 90006 90012 90024 90055 50000 50033 70012": "See the status page, status.cloud.microsoft.",
        "server_error temporarily_unavailable": "See the status page, status.cloud.microsoft.",
    },
}
"""Hints by exception and by AADSTS codes and names of OAuth errors."""

_KNOWN = {
    key: (exception, hint)
    for exception, hints in _CATALOGUE.items()
    for keys, hint in hints.items()
    for key in keys.split()
}
_UNKNOWN = (exceptions.MicrosoftRefused, "Look the code up at login.microsoftonline.com/error.")


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
    known = _KNOWN.get(code.group(1)) if code else None
    exception, hint = known or _KNOWN.get(name, _UNKNOWN)
    return exception(f"Microsoft answered {shown}", hint=hint, trace_id=trace_id)
