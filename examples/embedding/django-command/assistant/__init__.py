"""An app with one model and one command."""
