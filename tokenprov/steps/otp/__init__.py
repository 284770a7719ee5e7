"""OTP steps: what the two slots hold."""

from tokenprov.steps.otp.build import otp_steps

__all__ = ["otp_steps"]
