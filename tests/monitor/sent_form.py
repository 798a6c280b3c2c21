"""What a browser sends of a form."""

from html.parser import HTMLParser


class Form(HTMLParser):
    """What a browser would send of a page's form, if nobody changed anything."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sent: dict[str, list[str]] = {}
        self._text_of = self._select = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value") or ""
        match tag:
            case "textarea":
                self._text_of = name
                self.sent[name] = [""]
            case "select":
                self._select = name
            case "option" if "selected" in given:
                self.sent[self._select] = [value]
            case "input" if given.get("type") == "checkbox":
                self.sent[name] += [value] if "checked" in given else []
            case "input" if name and given.get("type") != "file":
                self.sent[name] = [value]

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._text_of = ""

    def handle_data(self, data: str) -> None:
        if self._text_of:
            self.sent[self._text_of][0] += data
