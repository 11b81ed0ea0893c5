"""The least that a project with one model and one command needs."""

from pathlib import Path

BASE_DIR = Path(__file__).parent

INSTALLED_APPS = ["assistant"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

PERSTACK_CONFIG = BASE_DIR / "perstack.toml"
