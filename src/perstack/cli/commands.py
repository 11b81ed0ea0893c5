"""The click group: lists commands from the table, and loads one when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

import click

from perstack._version import __version__

LATER = frozenset({"publish", "unpublish", "tag", "status"})
"""Commands of later versions, for an honest answer."""


class TableGroup(click.Group):
    """Commands by "module:attribute". Listing them loads none."""

    def __init__(self, table: Mapping[str, tuple[str, str]], about: str) -> None:
        super().__init__(name="perstack", help=about)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, now loaded."""
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name][0].partition(":")
        return cast(click.Command, getattr(import_module(module), attribute))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name for a typo."""
        if args and args[0] not in self.table and not args[0].startswith("-"):
            if args[0] in LATER:
                raise click.UsageError(f"{args[0]!r} is not in this version yet.")
            import difflib

            near = difflib.get_close_matches(args[0], self.table, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            known = ", ".join(self.table)
            raise click.UsageError(f"There is no command {args[0]!r}.{hint} Commands: {known}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table's own lines."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.table.items()])


def group(table: Mapping[str, tuple[str, str]], about: str) -> TableGroup:
    """The whole command line."""
    made = TableGroup(table, about)
    return click.version_option(__version__, prog_name="perstack", message="%(prog)s %(version)s")(
        made
    )
