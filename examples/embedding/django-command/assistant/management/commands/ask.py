"""`python manage.py ask EXPERT QUERY`."""

from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from assistant.models import Ticket
from perstack import FunctionTool, PerstackError, load_config, run_sync


def tickets(*, is_open: bool = True) -> list[str]:
    """All tickets, each with its number and title.

    Args:
        is_open: whether the open ones are meant, or the closed ones
    """
    return [str(ticket) for ticket in Ticket.objects.filter(is_open=is_open).order_by("pk")]


class Command(BaseCommand):
    """Asks an Expert of perstack.toml, which may look into the database."""

    help = "Ask an Expert about the support tickets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The Expert and what it is asked."""
        parser.add_argument("expert")
        parser.add_argument("query")
        parser.add_argument("--job", help="go on with this job")

    def handle(self, expert: str, query: str, job: str | None, **_: object) -> None:
        """Write the answer to standard output, and what to do next to standard error."""
        try:
            result = run_sync(
                expert,
                query,
                config=load_config(settings.PERSTACK_CONFIG),
                workspace=settings.BASE_DIR,
                # A plain function runs in a thread of its own, so it may use the ORM.
                tools=[FunctionTool(tickets, effect="none")],
                continue_job=job,
            )
        except PerstackError as error:
            raise CommandError(error, returncode=error.exit_code) from error
        if result.status != "completed":
            raise CommandError(result.error.message if result.error else result.status)
        self.stdout.write(result.text)
        self.stderr.write(f"To ask further: --job {result.job_id}")
