"""Reads the elements of a rendered page."""

from html.parser import HTMLParser

HOSTILE = "\"'><img src=x onerror=alert(1)>&amp;{{ 7 }}"


class Page(HTMLParser):
    """The elements of a rendered page, in order: name, attributes and the text right inside."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]
