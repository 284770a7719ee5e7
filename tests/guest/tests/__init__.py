"""Tests that run in the guest: the kernel, udev, logind and pcscd there are real."""
