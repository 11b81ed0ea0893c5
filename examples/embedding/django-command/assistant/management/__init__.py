"""What manage.py offers."""
