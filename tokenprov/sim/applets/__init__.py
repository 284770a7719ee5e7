"""The applets of virtual tokens."""
