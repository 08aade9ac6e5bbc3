"""The report as tests ask for it and take it apart."""

import base64
import io
from datetime import UTC, datetime
from functools import partial
from html.parser import HTMLParser

import msgspec
import typer
from PIL import Image

from tests.support import commands
from training.commands import evaluate, leaderboard, report
from training.report import page
from training.report.champions import Champion
from training.report.standing import Standing, standing

SPACE = "\N{NARROW NO-BREAK SPACE}"
SVG_WITHOUT_CONTENT = {"rect", "path", "use"}

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(report.report)
app.command()(leaderboard.leaderboard)
app.command()(evaluate.evaluate)


run = partial(commands.run, app=app)


class Page(HTMLParser):
    """An HTML page taken apart; it stops at a tag that is closed out of turn, or not at all."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in SVG_WITHOUT_CONTENT, f"<{tag}/> means <{tag}> in HTML"
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        """What a reader sees, with single spaces."""
        return " ".join(" ".join(self.words).replace(SPACE, " ").split())

    def values(self, attribute, of=None):
        return [found[attribute] for tag, found in self.tags if attribute in found and tag == (of or tag)]


def row_of(champion) -> Standing:
    return standing([(champion.version, champion.card, champion.metrics)])


def rendered(trained_store, few_digits, *found, rows=()) -> Page:
    """The page of champions; `rows` stand in the leaderboard beside theirs, or in place of those of the same model."""
    weights = trained_store.load("tiny", 1)[1]
    source = page.Source(few_digits, "a few digits")
    return Page(
        page.render(
            found,
            [weights] * len(found),
            list(({of.name: row_of(of) for of in found} | {row.model: row for row in rows}).values()),
            tested=source,
            seen=source,
            store="a store",
            code="0",
            now=datetime(2026, 1, 2, tzinfo=UTC),
        )
    )


def png(address) -> Image.Image:
    assert address.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def renamed(champion, name, **changes) -> Champion:
    card = msgspec.structs.replace(champion.card, model=name, **changes)
    return Champion(card, champion.version, champion.probabilities, champion.metrics)
