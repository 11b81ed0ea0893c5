"""Which definition a key names here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.assembly.base_skill import with_base
from perstack.assembly.tools import check_requirements
from perstack.schema.keys import parse_key

if TYPE_CHECKING:
    from perstack.assembly.lock import Lock
    from perstack.config.request import RunRequest
    from perstack.schema.expert import Definition, Expert


class Experts:
    """Definitions by key: the project's own first, then those of its lock, then the catalogue's."""

    def __init__(self, request: RunRequest, lock: Lock | None = None) -> None:
        self._request = request
        self._lock = lock
        self._catalogue: dict[str, Expert] | None = None

    def expert(self, key: str) -> Expert:
        """The Expert that `key` names.

        Raises:
            UnknownExpert: there is none.
            ConfigurationError: it has two base skills.
        """
        return with_base(self._found(key), self._request.base_skill_command)

    def _found(self, key: str) -> Expert:
        from perstack.config.experts import resolve_expert

        project = self._request.project
        own = project.experts if project else {}
        if parse_key(key).name in own:
            return resolve_expert(key, project, {})
        if self._lock is not None and (locked := self._lock.expert(key)) is not None:
            return locked
        if self._catalogue is None:
            from perstack.registry.catalogue import catalogue_experts

            self._catalogue = catalogue_experts()
        return resolve_expert(key, project, self._catalogue)

    def definition(self, key: str) -> Definition:
        """The Expert with what it knows of its delegates."""
        from perstack.config.experts import definition_of

        return definition_of(self.expert(key), self.expert)

    async def resolve(self, key: str) -> Definition:
        """`definition`, for a delegate that is asked, with everything its skills require.

        Raises:
            ConfigurationError: a variable of a skill is missing; or as `expert` raises.
        """
        definition = self.definition(key)
        check_requirements(definition.expert, self._request)
        return definition
