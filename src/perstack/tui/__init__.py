"""The workbench: an app in the terminal that knows one thing, a `Session`."""
