"""Device steps: what is switched on, and the lock code that keeps it so."""

from tokenprov.steps.device.build import closing_device_steps, device_steps

__all__ = ["closing_device_steps", "device_steps"]
