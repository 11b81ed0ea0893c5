"""What is read from the terminal, whatever it sends."""

from __future__ import annotations

import os
import select
from codecs import getincrementaldecoder
from typing import TYPE_CHECKING

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from textual.driver import Driver

AT_ONCE = 4096
"""Bytes that are read at once."""

TICK_SECONDS = 0.1
"""Between two looks at whether the app ends, and at an escape that nothing followed."""


class Terminal(LinuxDriver):
    """Takes bytes that are no text for a sign that says so: Textual would end the app."""

    def run_input_thread(self) -> None:
        """Read until the app ends."""
        decode = getincrementaldecoder("utf-8")("replace").decode
        parser = XTermParser(self._debug)
        while not self.exit_event.is_set():
            if select.select([self.fileno], [], [], TICK_SECONDS)[0]:
                text = decode(os.read(self.fileno, AT_ONCE))
                for message in parser.feed(text) if text else ():
                    self.process_message(message)
            for message in parser.tick():
                self.process_message(message)


def reading(driver: type[Driver]) -> type[Driver]:
    """The driver to use in the place of the one that Textual chose."""
    return Terminal if driver is LinuxDriver else driver
