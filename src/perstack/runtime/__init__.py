"""Making it happen: the async shell around the kernel."""
