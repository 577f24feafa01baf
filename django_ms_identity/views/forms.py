"""The form that asks for traits. What is valid, the identity schema alone decides."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from django_ms_identity.conf import Config
from django_ms_identity.identities import missing_traits
from django_ms_identity.jsonnet.json_values import JSON, JSONObject
from django_ms_identity.traits.mapping_result import MappingResult
from django_ms_identity.traits.problems import ProblemKind, TraitProblem, values_at

if TYPE_CHECKING:
    from django.http import QueryDict
    from django.utils.functional import _StrOrPromise

    from django_ms_identity.traits.fields import TraitField

MAX_LENGTH = 1000
"""Characters of a text where the schema names no limit."""
ROUNDS = 5
"""How often an answer may bring up another question: a schema can want one trait because of another."""

# What browsers fill in by themselves (HTML, section 4.10.18.7), by the usual names of traits.
_AUTOCOMPLETE = {
    "birthdate": "bday",
    "city": "address-level2",
    "country": "country-name",
    "email": "email",
    "family_name": "family-name",
    "first_name": "given-name",
    "first": "given-name",
    "given_name": "given-name",
    "last_name": "family-name",
    "last": "family-name",
    "name": "name",
    "organization": "organization",
    "phone": "tel",
    "postal_code": "postal-code",
    "street": "street-address",
    "username": "username",
    "website": "url",
}

_TEXTS: Mapping[ProblemKind, _StrOrPromise] = {
    ProblemKind.MISSING: _("Please fill this in."),
    ProblemKind.PATTERN: _("This does not have the form that is asked for."),
    ProblemKind.FORMAT: _("This does not have the form that is asked for."),
    ProblemKind.TOO_SMALL: _("Please enter %(limit)s or more."),
    ProblemKind.TOO_LARGE: _("Please enter %(limit)s or less."),
    ProblemKind.TOO_SHORT: ngettext_lazy(
        "Please enter at least %(limit)d character.", "Please enter at least %(limit)d characters.", "limit"
    ),
    ProblemKind.TOO_LONG: ngettext_lazy(
        "Please enter at most %(limit)d character.", "Please enter at most %(limit)d characters.", "limit"
    ),
}


class TraitForm(forms.Form):
    """Ask for traits, one field each; fields are named by their place, since paths hold anything."""

    def __init__(
        self, asked: Sequence[TraitField], *, traits: JSONObject, data: QueryDict | None = None
    ) -> None:
        super().__init__(data, prefix="trait")
        self._paths = {str(index): trait.path for index, trait in enumerate(asked)}
        self._choices = {str(index): trait.choices for index, trait in enumerate(asked)}
        for name, trait in zip(self._paths, asked, strict=True):
            self.fields[name] = _form_field(trait)
            self.initial[name] = _initial(trait, traits)

    def typed(self) -> dict[tuple[str, ...], JSON]:
        """Return what was typed, by path; None for what was left blank."""
        return {path: self._value(name) for name, path in self._paths.items()}

    def explain(self, problems: Iterable[TraitProblem]) -> None:
        """Show what the identity schema says beside the fields it says it of."""
        names = {path: name for name, path in self._paths.items()}
        for problem in problems:
            name = names.get(tuple(map(str, problem.path)))
            if name is not None and not self.has_error(name):
                self.add_error(name, _error_text(problem, self.fields[name].widget))

    def _value(self, name: str) -> JSON:
        value = self.cleaned_data[name]
        choices = self._choices[name]
        if isinstance(self.fields[name], forms.ChoiceField):
            return choices[int(value)] if value else None
        if isinstance(value, datetime.date):
            return value.isoformat()
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return None if value == "" else value


def ask_for_traits(
    mapping: MappingResult, config: Config, data: QueryDict | None
) -> tuple[TraitForm, MappingResult | None]:
    """Return the form, and what was mapped with what was typed once the identity schema accepts it.

    Raises ``TraitNotAskable`` where no form can ask for what the schema wants.
    """
    problems = missing_traits.problems_in(mapping.traits, config)
    asked: dict[tuple[str, ...], TraitField] = {}
    for _round in range(ROUNDS):
        asked |= {trait.path: trait for trait in missing_traits.form_fields_for(problems, config)}
        form = TraitForm(tuple(asked.values()), traits=mapping.traits, data=data)
        if not form.is_valid():
            break
        completed = missing_traits.with_typed(mapping, form.typed())
        problems = missing_traits.problems_in(completed.traits, config)
        if not problems:
            return form, completed
        form.explain(problems)
        if all(tuple(map(str, problem.path)) in asked for problem in problems):
            break
    return form, None


def _form_field(trait: TraitField) -> forms.Field:
    field = _kind_of_field(trait)
    field.label, field.help_text, field.required = trait.title, trait.description, trait.required
    if isinstance(field, forms.BooleanField):
        # False is an answer too, unless only true will do.
        field.required = trait.choices == (True,)
    field.widget.is_required = field.required
    if (purpose := _AUTOCOMPLETE.get(trait.path[-1].lower())) is not None:
        field.widget.attrs["autocomplete"] = purpose
    return field


def _kind_of_field(trait: TraitField) -> forms.Field:
    # Imported late: it brings jsonschema-rs, which projects without an identity schema do not need.
    from django_ms_identity.traits.fields import FieldKind

    match trait.kind:
        case FieldKind.BOOLEAN:
            return forms.BooleanField()
        case _ if trait.choices:
            blank = [] if trait.required and trait.default in trait.choices else [("", "—")]
            shown = [(str(index), str(choice)) for index, choice in enumerate(trait.choices)]
            return forms.ChoiceField(choices=[*blank, *shown])
        case FieldKind.INTEGER:
            return forms.IntegerField(min_value=_whole(trait.minimum), max_value=_whole(trait.maximum))
        case FieldKind.NUMBER:
            return forms.FloatField(min_value=trait.minimum, max_value=trait.maximum)
        case FieldKind.DATE:
            return forms.DateField(widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))
    widget = {FieldKind.EMAIL: forms.EmailInput, FieldKind.URL: forms.URLInput}.get(
        trait.kind, forms.TextInput
    )
    return forms.CharField(max_length=min(trait.max_length or MAX_LENGTH, MAX_LENGTH), widget=widget)


def _initial(trait: TraitField, traits: JSONObject) -> object:
    value = next(iter(values_at(traits, trait.path)), trait.default)
    if trait.choices and not isinstance(value, bool):
        return str(trait.choices.index(value)) if value in trait.choices else ""
    return value if isinstance(value, str | int | float) else None


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _error_text(problem: TraitProblem, widget: forms.Widget) -> _StrOrPromise:
    if problem.kind is ProblemKind.FORMAT and isinstance(widget, forms.EmailInput):
        return _("Please enter an e-mail address, such as name@example.com.")
    if problem.kind is ProblemKind.FORMAT and isinstance(widget, forms.URLInput):
        return _("Please enter a whole address, such as https://example.com/.")
    text = _TEXTS.get(problem.kind)
    if text is None:
        return _("This is not accepted.")
    return text % {"limit": problem.limit}
