"""What accounts tell the apps above them, against the direction of imports."""

from django.dispatch import Signal

# Sent inside the transaction that deletes members, before their rows go; carries `user_ids`.
members_leaving = Signal()
