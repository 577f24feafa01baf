"""``manage.py ms_identity map``: try a mapper on real claims, and print what a sign-in would do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_ms_identity import conf, runtime
from django_ms_identity.conf import Config
from django_ms_identity.diagnostics import dry_run
from django_ms_identity.entra.providers import Provider, UpdateOnLogin
from django_ms_identity.exceptions import ProviderUnknown, TraitNotAskable
from django_ms_identity.identities.credential_lookup import credential_of
from django_ms_identity.identities.trait_updates import describe_update, mapper_identity
from django_ms_identity.jsonnet.json_values import JSONObject, NotJSON, clean_object, kind_of
from django_ms_identity.models import Credential
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.traits.mapper_claims import mapper_claims
from django_ms_identity.traits.mapping_result import MappingResult
from django_ms_identity.traits.merging import overlay

from .console import command_errors, one_of, pretty, problem_line, read_text

HELP = "try a mapper on the claims of a token, and print what would be written; writes nothing"


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--provider", required=True, metavar="ID", help="whose mapper runs")
    parser.add_argument(
        "--claims",
        required=True,
        metavar="FILE",
        help="the payload of an ID token, a JSON object; - reads standard input",
    )
    parser.add_argument(
        "--subject", default="", help="Graph's id of the person (subject_source me); else the claim oid"
    )


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Print each step of a sign-in up to the one that fails, and raise ``CommandError`` for that."""
    with command_errors():
        config = conf.get_config()
        provider = _provider(options["provider"], config)
        payload = _payload(options["claims"])
        try:
            context = dry_run.unverified_context(provider, config, payload, subject=options["subject"])
        except dry_run.ClaimsIncomplete as error:
            raise CommandError(f"{options['claims']}: {error}.") from None
        command.stdout.write(
            command.style.WARNING(
                "These claims are used as they are: no signature, time or tenant is verified, no hook runs."
            )
        )
        if filled := [name for name in dry_run.FILLED if name not in payload]:
            command.stdout.write(f"Filled in, because they are missing: {', '.join(filled)}.")
        _print_steps(command, context)


def _print_steps(command: BaseCommand, context: SignInContext) -> None:
    credential = credential_of(context)
    stored = runtime.EMPTY_IDENTITY if credential is None else mapper_identity(credential.identity)
    claims = mapper_claims(context.claims.payload, subject=context.subject)
    _section(command, "Mapper input: claims", pretty(claims))
    _section(command, "Mapper input: identity", pretty(stored))
    # The engine's own words may hold claims, which the operator has.
    mapping = runtime.map_claims(context, stored, explain=True)
    user = mapping.user and {**mapping.user.fields, "groups": mapping.user.groups}
    _section(command, "Mapper output", pretty({"identity": _printed_identity(mapping), "user": user}))
    _section(command, "Identity schema")
    # What the mapper leaves out of a known person's traits stays.
    traits = overlay(credential.identity.traits, mapping.traits) if credential else mapping.traits
    not_askable = _print_problems(command, context.config, traits)
    _section(command, "What would be written")
    for error in dry_run.blockers(context, credential, mapping):
        command.stdout.write(command.style.ERROR(f"Refused: {error.code}: {error.detail}"))
    if credential is None:
        _print_registration(command, context, mapping)
    else:
        _print_update(command, context, credential, mapping)
    if not_askable is not None:
        raise not_askable


def _print_problems(command: BaseCommand, config: Config, traits: JSONObject) -> TraitNotAskable | None:
    """Print the problems with the traits; return the error of a form that cannot ask for them, if any."""
    write = command.stdout.write
    schema = runtime.identity_schema(config)
    if schema is None:
        write("no schema: IDENTITY_SCHEMA_URL is not set, so any traits are valid")
        return None
    problems = schema.problems(traits)
    if not problems:
        write("the traits are valid")
        return None
    for problem in problems:
        write(problem_line(problem))
    try:
        fields = schema.fields(problem.path for problem in problems)
    except TraitNotAskable as error:
        write(command.style.ERROR(error.detail))
        return error
    asked = ", ".join(f"{'.'.join(field.path)} ({field.kind})" for field in fields)
    write(f"complete/ would have to ask for: {asked}")
    return None


def _print_registration(command: BaseCommand, context: SignInContext, mapping: MappingResult) -> None:
    write = command.stdout.write
    registration = dry_run.registration_preview(context, mapping)
    write(f"A new person, by subject {context.subject}:")
    identity = {name: {} if value is None else value for name, value in _printed_identity(mapping).items()}
    write(pretty({"user": registration.user, "groups": registration.groups, **identity}))
    if registration.is_name_taken:
        write("The user name is taken: it gets a suffix.")
    if registration.unknown_groups:
        write(f"No such groups here: {', '.join(registration.unknown_groups)}.")


def _print_update(
    command: BaseCommand, context: SignInContext, credential: Credential, mapping: MappingResult
) -> None:
    write = command.stdout.write
    write(f"Identity {credential.identity_id} is known by subject {context.subject}.")
    changes = "; ".join(describe_update(context, credential, mapping)) or "nothing"
    if context.provider.update_identity_on_login is UpdateOnLogin.AUTOMATIC:
        write(f"The update on login would change: {changes}")
    else:
        write("Nothing: update_identity_on_login is never.")
        write(f"With automatic, it would change: {changes}")


def _provider(provider_id: str, config: Config) -> Provider:
    try:
        return config.provider(provider_id)
    except ProviderUnknown:
        known = one_of(provider.id for provider in config.providers)
        raise CommandError(f"No provider {provider_id!r} is configured. There is: {known}.") from None


def _payload(name: str) -> JSONObject:
    text = read_text(name)
    try:
        payload = json.loads(text)
    except json.JSONDecodeError as error:
        raise CommandError(f"{name} is not JSON: {error}.") from None
    except (ValueError, RecursionError):
        raise CommandError(f"{name} holds a number that is too long, or is nested too deeply.") from None
    if not isinstance(payload, dict):
        raise CommandError(
            f"{name} is {kind_of(payload)}; expected is an object, the payload of an ID token."
        )
    try:
        return clean_object(payload)
    except NotJSON as error:
        raise CommandError(f"{name} holds {error}.") from None


def _printed_identity(mapping: MappingResult) -> dict[str, object]:
    return {
        "traits": mapping.traits,
        "metadata_public": mapping.metadata_public,
        "metadata_admin": mapping.metadata_admin,
        "verified_addresses": [{"via": it.via, "value": it.value} for it in mapping.verified_addresses],
    }


def _section(command: BaseCommand, title: str, text: str = "") -> None:
    command.stdout.write(command.style.MIGRATE_HEADING(f"\n{title}"))
    if text:
        command.stdout.write(text)
