"""Markdown as the READMEs have it: fenced blocks, inline code, links, images, headings."""

from __future__ import annotations

import re
from typing import NamedTuple


class Block(NamedTuple):
    """A fenced block: its language, and its text with a newline at the end."""

    language: str
    text: str


def blocks(markdown: str) -> list[Block]:
    """The fenced blocks in their order."""
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", markdown, re.DOTALL | re.MULTILINE)]


def prose(markdown: str) -> str:
    """Everything but the fenced blocks."""
    return re.sub(r"^```.*?^```$", "", markdown, flags=re.DOTALL | re.MULTILINE)


def inline_code(markdown: str) -> list[str]:
    """What stands between backticks in prose, on one line or two."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(markdown))]


def targets(markdown: str) -> list[str]:
    """What links and images point to."""
    text = prose(markdown)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'<img src="([^"]+)"', text)


def anchors(markdown: str) -> set[str]:
    """The fragments by which a link finds a heading, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(markdown), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
