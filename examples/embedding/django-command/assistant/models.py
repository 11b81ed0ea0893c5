"""What the Expert is asked about."""

from django.db import models


class Ticket(models.Model):
    """A customer's request."""

    title = models.CharField(max_length=200)
    is_open = models.BooleanField(default=True)

    def __str__(self) -> str:
        return f"{self.pk}: {self.title}"
