"""Options by other names: which option an abbreviation, such as --lr, is meant to be."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand


class Command(TyperCommand):
    """A command that suggests the option that an unknown one abbreviates; typer suggests those that are misspelt."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments that are left over. Raises BadParameter for an option that abbreviates another one."""
        known = [name for param in self.params for name in (*param.opts, *param.secondary_opts) if name[:2] == "--"]
        for arg in args:
            name = arg.partition("=")[0]
            if arg[:2] == "--" and name not in (*known, "--", "--help") and (meant := meant_by(name, known)):
                raise typer.BadParameter(f"there is no option {name}; did you mean {' or '.join(meant)}?", ctx)
        return super().parse_args(ctx, args)


def meant_by(name: str, known: list[str]) -> list[str]:
    """The options of two words and more that have the initials `name`, such as --lr, or have `name` as a word."""
    wanted = name.removeprefix("--")
    found = []
    for option in known:
        words = option.removeprefix("--").split("-")
        if len(words) > 1 and (wanted in words or wanted == "".join(word[:1] for word in words)):
            found.append(option)
    return found
