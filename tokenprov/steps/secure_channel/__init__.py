"""Secure channel steps: what secures the commands, and the keys for it."""

from tokenprov.steps.secure_channel.build import secure_channel_steps

__all__ = ["secure_channel_steps"]
