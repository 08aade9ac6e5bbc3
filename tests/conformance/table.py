"""Findings for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from tests.conformance.feature import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.feature import Finding


def table(findings: Sequence[Finding], title: str) -> Table:
    """A row for each feature: green is as the protocol has it, yellow missing and optional, red a failure."""
    made = Table(title=title, title_justify="left", expand=False)
    for column in ("protocol", "feature", "", "verdict"):
        made.add_column(column, no_wrap=True)
    made.add_column("detail", overflow="fold")
    for i, finding in enumerate(findings):
        first = i == 0 or finding.protocol != findings[i - 1].protocol
        colour = "red" if not finding.passes else "green" if finding.verdict is Verdict.YES else "yellow"
        made.add_row(
            finding.protocol if first else "",
            finding.name,
            "required" if finding.required else "optional",
            f"[{colour}]{finding.verdict}[/]",
            escape(finding.detail),
            end_section=i + 1 < len(findings) and findings[i + 1].protocol != finding.protocol,
        )
    return made


def summary(findings: Sequence[Finding]) -> str:
    """How many features, and how many of them fail."""
    done = sum(finding.verdict is Verdict.YES for finding in findings)
    failing = [finding.name for finding in findings if not finding.passes]
    said = f"{done} of {len(findings)} features"
    return f"{said}; failing: {', '.join(failing)}" if failing else f"{said}; nothing that is required fails"
