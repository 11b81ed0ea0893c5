"""`perstack schema`: what the events look like, for those who read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from perstack.views.wire import Form


@click.command()
@click.option(
    "--events",
    type=click.Choice(["lean", "full", "stored"]),
    default="lean",
    show_default=True,
    help="The form of the events.",
)
def schema(events: Form) -> int:
    """Print the JSON Schema of all events, in the form that `run` or the log has."""
    import msgspec

    from perstack.views.event_schema import event_schema

    click.echo(msgspec.json.format(msgspec.json.encode(event_schema(events)), indent=2).decode())
    return 0
