"""Makes web hooks; nothing here asserts more than that they are well formed."""

from __future__ import annotations

import base64

from django_ms_identity.conf.reader import ConfigIssue
from django_ms_identity.conf.web_hook_settings import WebHook, parse_web_hook

URL = "https://hook.example.com/identities"


def faults_of(config: object, *, allow_http: bool = False) -> list[ConfigIssue]:
    faults: list[ConfigIssue] = []
    hook = parse_web_hook(config, where="HOOK", faults=faults, warnings=[], allow_http=allow_http)
    assert (hook is None) is bool(faults)
    return faults


def make_hook(**config: object) -> WebHook:
    faults: list[ConfigIssue] = []
    hook = parse_web_hook(
        {"url": URL, "method": "POST"} | config, where="HOOK", faults=faults, warnings=[], allow_http=True
    )
    assert hook is not None, faults
    return hook


def template(program: str) -> str:
    return f"base64://{base64.b64encode(program.encode()).decode()}"
