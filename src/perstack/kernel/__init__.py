"""The rules of a run. Pure: no I/O, no clock, no ids, no `async`."""
