"""What a person at a terminal wants: the options, and what was chosen since."""

from __future__ import annotations

from dataclasses import replace as with_fields
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from perstack.assembly.local_models.ollama import OLLAMA_HERE
from perstack.assembly.model_choice import model_problems
from perstack.cli.run import repeated
from perstack.config.origins import ACCESS
from perstack.config.resolve import resolve
from perstack.errors import ConfigurationError, PerstackError
from perstack.schema.settings import PROVIDER_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from perstack.config.request import Options, RunRequest
    from perstack.schema.settings import ProviderSettings
    from perstack.tui.session import Choice


class Here(NamedTuple):
    """A model on this machine, and how it is asked."""

    provider: ProviderSettings
    model: str


class Wanted:
    """Makes the request anew whenever it is asked for, from the files as they are then.

    Attributes:
        options: as they were typed, and with what was chosen since.
        here: a model on this machine that was chosen, which no option names.
        offers: the models of the server on this machine that one was chosen of.
    """

    def __init__(self, options: Options, cwd: Path, environ: Mapping[str, str]) -> None:
        self.options = options
        self.here: Here | None = None
        self.offers: tuple[Choice, ...] = ()
        self._server: ProviderSettings | None = None
        self._cwd = cwd
        self._environ = environ

    def request(self) -> RunRequest:
        """The request.

        Raises:
            UsageError: an option is wrong, or does not go with another.
            ConfigurationError: a file or a variable is wrong.
        """
        request = resolve(self.options, self._cwd, self._environ)
        if self.here is None:
            return request
        settings = replace(request.settings, provider=self.here.provider, model=self.here.model)
        return with_fields(request, settings=settings, names_model=True)

    def choose(
        self,
        expert_key: str | None = None,
        continue_job: str | None = None,
        resume_from: str | None = None,
    ) -> None:
        """Let it be about an Expert, a job, or a checkpoint of that."""
        options = self.options
        self.options = replace(
            options,
            expert_key=expert_key or options.expert_key,
            continue_job=continue_job or options.continue_job,
            continue_latest=options.continue_latest and continue_job is None,
            resume_from=resume_from or options.resume_from,
        )

    def chosen(self, request: RunRequest) -> RunRequest:
        """A request that was made before those choices, with them."""
        options = self.options
        return with_fields(
            request,
            expert_key=options.expert_key,
            continue_job=options.continue_job,
            continue_latest=options.continue_latest,
            resume_from=options.resume_from,
        )

    def ask_here(self, server: ProviderSettings, model: str, offers: tuple[Choice, ...]) -> None:
        """Let a model of a server on this machine be asked, which has those of `offers`."""
        self.here, self.offers, self._server = Here(server, model), offers, server

    @property
    def address(self) -> tuple[str, str] | None:
        """The variable that a later command needs as well, and its value."""
        if self.here is None or self.here.provider.base_url == OLLAMA_HERE:
            return None
        provider = self.here.provider
        [variable] = ACCESS[provider.provider_name].addresses
        return variable, provider.base_url or ""

    @property
    def words(self) -> tuple[str, ...]:
        """The options that a later command needs as well."""
        options = self.options
        if self.here is not None:
            provider, model = self.here
            options = replace(options, provider=provider.provider_name, model=model)
        return repeated(options)

    def ask_model(self, name: str) -> RunRequest:
        """The same for another model from now on: `model`, or `provider/model`.

        What a model of `offers` is called may look like the latter: it is meant first.

        Raises:
            UsageError: there can be no such model.
            ConfigurationError: it cannot be asked.
        """
        before = self.options, self.here
        provider, slash, model = name.partition("/")
        if self._server is not None and name in {offer.key for offer in self.offers}:
            self.here = Here(self._server, name)
        elif slash and provider in PROVIDER_NAMES:
            self.here = None
            self.options = replace(self.options, provider=provider, model=model)
        elif self.here is not None:
            self.here = self.here._replace(model=name)
        else:
            self.options = replace(self.options, provider=self._provider_by_key, model=name)
        try:
            return askable(self.request())
        except PerstackError:
            self.options, self.here = before
            raise

    @property
    def _provider_by_key(self) -> str | None:
        """The provider of `options`; where a key chose one, that."""
        request = self.request()
        by_key = request.settings.provider.provider_name if request.chosen_by else None
        return self.options.provider or by_key

    def allow_steps(self, limit: str) -> RunRequest:
        """The same with another limit of steps from now on.

        Raises:
            UsageError: it is no such number.
        """
        before = self.options
        self.options = replace(self.options, max_steps=limit)
        try:
            return self.request()
        except PerstackError:
            self.options = before
            raise


def askable(request: RunRequest) -> RunRequest:
    """The same request.

    Raises:
        ConfigurationError: its model cannot be asked.
    """
    for finding in model_problems(request):
        raise ConfigurationError(f"{finding.message}. {finding.advice}")
    return request
