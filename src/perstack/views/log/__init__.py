"""What `perstack log` and `perstack jobs` show: which events, and how they read."""
