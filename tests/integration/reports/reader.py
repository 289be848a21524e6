"""Reads a page as its readers do."""

from html.parser import HTMLParser


class Reader(HTMLParser):
    """Gathers the text of a page, table rows as lines with | between cells, and every tag with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "rect", "br"}:
            self.open.append(tag)
        self.text += {"tr": "\n", "td": " | ", "th": " | "}.get(tag, " ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "the page is not well-formed"
        if tag in {"tr", "h2", "h3", "p"}:
            self.text += "\n"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data.replace("\n", " ")

    def lines(self) -> list[str]:
        return [" ".join(line.split()) for line in self.text.splitlines() if line.strip()]
