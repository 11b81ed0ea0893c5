"""Where Experts come from besides `perstack.toml`."""
