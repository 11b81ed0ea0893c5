"""Where a person knows that their key goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.assembly.vendor import vendor_of
from perstack.errors import ConfigurationError

if TYPE_CHECKING:
    from perstack.config.request import RunRequest


class Agreed:
    """The provider and the address that a person has seen, or chose."""

    def __init__(self, request: RunRequest) -> None:
        self._vendor = vendor_of(request)

    def know(self, request: RunRequest) -> None:
        """They chose this one."""
        self._vendor = vendor_of(request)

    def check(self, request: RunRequest) -> None:
        """A file that came to name another address does not get the key unseen.

        An Expert may write the file, and a person decides where their key goes.

        Raises:
            ConfigurationError: it names one. Asked again, it is agreed to.
        """
        known, self._vendor = self._vendor, vendor_of(request)
        provider, address = self._vendor
        if address is not None and self._vendor != known:
            raise ConfigurationError(
                f"By the files as they are now, {provider} is asked at {address}, and gets what "
                "is said there with the key. Press Enter again if that is meant"
            )
