"""What images tell the apps above them, against the direction of imports."""

from django.dispatch import Signal

# Sent inside the transaction that removes images on purpose, before their rows go and before they
# are locked; carries `media_ids`. The foreign keys that point to them become null by themselves.
images_leaving = Signal()
