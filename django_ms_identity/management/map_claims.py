"""``manage.py ms_identity map``: what a mapper makes of real claims, and what would become of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_ms_identity import conf, runtime
from django_ms_identity.conf import Config
from django_ms_identity.diagnostics import dry_run
from django_ms_identity.diagnostics.dry_run import ClaimsIncomplete, SignInPreview
from django_ms_identity.entra.providers import Provider, UpdateOnLogin
from django_ms_identity.exceptions import MSIdentityError, ProviderUnknown, TraitNotAskable
from django_ms_identity.jsonnet.json_values import JSON, JSONObject, NotJSON, clean_object, kind_of
from django_ms_identity.models import Credential
from django_ms_identity.traits.mapping_result import MappingResult

from .console import one_of, pretty, problem_line, read_text

HELP = "try a mapper on the claims of a token, and say what would be written; writes nothing"


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--provider", required=True, metavar="ID", help="whose mapper runs")
    parser.add_argument(
        "--claims",
        required=True,
        metavar="FILE",
        help="the payload of an ID token, a JSON object; - reads standard input",
    )
    parser.add_argument(
        "--subject", default="", help="what Graph calls the person (subject_source me); else the claim oid"
    )


def run(command: BaseCommand, *, provider: str, claims: str, subject: str) -> None:
    """Print each step of a sign-in as far as it comes; raise ``CommandError`` for the one that fails."""
    try:
        chosen, config = _provider(provider)
        preview = dry_run.preview_for(chosen, config, _payload(claims), subject=subject)
    except ClaimsIncomplete as error:
        raise CommandError(f"{claims}: {error}.") from None
    try:
        _print(command, preview)
    except MSIdentityError as error:
        raise CommandError(f"{error.code}: {error.detail}\n{error.hint}".strip()) from None


def _print(command: BaseCommand, preview: SignInPreview) -> None:
    command.stdout.write(
        command.style.WARNING(
            "These claims are taken as they are: no signature, time or tenant is verified, and no hook runs."
        )
    )
    if preview.filled:
        command.stdout.write(f"Filled in, because they are missing: {', '.join(preview.filled)}.")
    _section(command, "Mapper input: claims", dry_run.mapper_input(preview))
    _section(command, "Mapper input: identity", dict(preview.stored))
    mapping = dry_run.mapper_output(preview)
    _section(command, "Mapper output", _output(mapping))
    askable = _judge(command, preview.context.config, dry_run.traits_after(preview, mapping))
    _say_what_is_written(command, preview, mapping)
    if askable is not None:
        raise askable


def _judge(command: BaseCommand, config: Config, traits: JSONObject) -> TraitNotAskable | None:
    """Print the verdict of the identity schema; return why a form cannot mend it, if it cannot."""
    _section(command, "Identity schema")
    schema = runtime.identity_schema(config)
    if schema is None:
        command.stdout.write("no schema: IDENTITY_SCHEMA_URL is not set, so any traits are valid")
        return None
    problems = schema.problems(traits)
    if not problems:
        command.stdout.write("the traits are valid")
        return None
    for problem in problems:
        command.stdout.write(problem_line(problem))
    try:
        fields = schema.fields(problem.path for problem in problems)
    except TraitNotAskable as error:
        command.stdout.write(command.style.ERROR(error.detail))
        return error
    asked = ", ".join(f"{'.'.join(field.path)} ({field.kind})" for field in fields)
    command.stdout.write(f"complete/ would have to ask for: {asked}")
    return None


def _say_what_is_written(command: BaseCommand, preview: SignInPreview, mapping: MappingResult) -> None:
    _section(command, "What would be written")
    for error in dry_run.blockers(preview, mapping):
        command.stdout.write(command.style.ERROR(f"Refused: {error.code}: {error.detail}"))
    if preview.credential is not None:
        _known(command, preview, preview.credential, mapping)
        return
    newcomer = dry_run.registration_preview(preview, mapping)
    command.stdout.write(f"A new person, by subject {preview.context.subject}:")
    command.stdout.write(
        pretty(
            {
                "user": _shown(newcomer.user),
                "groups": list(newcomer.groups),
                "traits": mapping.traits,
                "metadata_public": mapping.metadata_public or {},
                "metadata_admin": mapping.metadata_admin or {},
                "verified_addresses": _addresses(mapping),
            }
        )
    )
    if newcomer.is_name_taken:
        command.stdout.write("The user name is taken: it gets a suffix.")
    if newcomer.unknown_groups:
        command.stdout.write(f"No such groups here: {', '.join(newcomer.unknown_groups)}.")


def _known(
    command: BaseCommand, preview: SignInPreview, credential: Credential, mapping: MappingResult
) -> None:
    command.stdout.write(f"Identity {credential.identity_id} is known by subject {preview.context.subject}.")
    is_automatic = preview.context.provider.update_identity_on_login is UpdateOnLogin.AUTOMATIC
    changes = dry_run.update_preview(preview, credential, mapping)
    named = "; ".join(changes) or "nothing"
    if is_automatic:
        command.stdout.write(f"The update on login would change: {named}")
    else:
        command.stdout.write("Nothing: update_identity_on_login is never.")
        command.stdout.write(f"With automatic, it would change: {named}")


def _provider(provider_id: str) -> tuple[Provider, Config]:
    try:
        config = conf.get_config()
        return config.provider(provider_id), config
    except ProviderUnknown:
        known = one_of(provider.id for provider in config.providers)
        raise CommandError(f"No provider {provider_id!r} is configured. There is: {known}.") from None
    except MSIdentityError as error:
        raise CommandError(f"{error.code}: {error.detail}\n{error.hint}") from None


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


def _output(mapping: MappingResult) -> JSON:
    identity: JSONObject = {
        "traits": mapping.traits,
        "metadata_public": mapping.metadata_public,
        "metadata_admin": mapping.metadata_admin,
        "verified_addresses": _addresses(mapping),
    }
    if mapping.user is None:
        return {"identity": identity, "user": None}
    groups = mapping.user.groups
    user: JSONObject = {**mapping.user.fields, "groups": None if groups is None else list(groups)}
    return {"identity": identity, "user": user}


def _addresses(mapping: MappingResult) -> JSON:
    return [{"via": address.via, "value": address.value} for address in mapping.verified_addresses]


def _shown(fields: Mapping[str, object]) -> JSONObject:
    # A field of the user model may hold a date, or whatever else it made of the mapper's value.
    return {
        name: value if isinstance(value, bool | int | float | str | None) else str(value)
        for name, value in fields.items()
    }


def _section(command: BaseCommand, title: str, value: JSON = None) -> None:
    command.stdout.write(command.style.MIGRATE_HEADING(f"\n{title}"))
    if value is not None:
        command.stdout.write(pretty(value))
