"""Make elements of HTML, in which every text is escaped and printable."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from gradcheck_cli.text import printable_lines

Child = Element | str | dict[str, str] | None


def tag(kind: str, /, *children: Child, **attributes: str) -> Element:
    """An element; texts and elements are its content, dicts and keywords its attributes."""
    element = Element(kind, {key.rstrip("_"): value for key, value in attributes.items()})
    last: Element | None = None
    for child in children:
        if isinstance(child, dict):
            element.attrib.update(child)
        elif isinstance(child, Element):
            element.append(child)
            last = child
        elif child is not None:
            text = child if kind == "style" else printable_lines(child)
            if last is None:
                element.text = (element.text or "") + text
            else:
                last.tail = (last.tail or "") + text
    return element


def tag_pairs(pairs: tuple[tuple[str, str], ...], *, numeric: bool = False) -> Element:
    """A list of names and values; numeric: whether the values are numbers."""
    found = tag("dl", class_="numbers" if numeric else "advice")
    for name, value in pairs:
        found.append(tag("dt", name))
        found.append(tag("dd", value.strip()))
    return found
