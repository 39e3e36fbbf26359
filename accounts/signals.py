"""What accounts tell the apps above them, against the direction of imports."""

from django.dispatch import Signal

# Sent first inside the transaction that deletes members, before one of their rows is locked: lock
# what will change. Carries `user_ids`.
members_locking = Signal()

# Sent next, the members' rows locked and about to go: take back what was theirs. Carries
# `user_ids`.
members_leaving = Signal()

# Asks what is held about a member, for their export; carries `user`, answered with the name of a
# part of the document and an iterable of its rows, ready for JSON.
exporting = Signal()
