"""From files, flags and environment to one frozen request."""
