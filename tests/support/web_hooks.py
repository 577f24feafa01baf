"""Makes web hooks; nothing here asserts more than that they are well formed."""

from __future__ import annotations

import base64

from django_ms_identity.conf.reader import ConfigIssue, DictReader
from django_ms_identity.conf.web_hook_settings import WebHook, parse_web_hook

URL = "https://hook.example.com/identities"


def faults_of(config: object, *, allow_http: bool = False) -> list[ConfigIssue]:
    around = DictReader({"HOOK": config})
    hook = parse_web_hook(around.inner("HOOK"), allow_http=allow_http)
    assert (hook is None) is bool(around.faults)
    return around.faults


def make_hook(**config: object) -> WebHook:
    read = DictReader({"url": URL, "method": "POST"} | config)
    hook = parse_web_hook(read, allow_http=True)
    assert hook is not None, read.faults
    return hook


def template(program: str) -> str:
    return f"base64://{base64.b64encode(program.encode()).decode()}"
