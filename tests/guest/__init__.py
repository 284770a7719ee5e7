"""A machine with a real USB stack, for tests that need one: kernel, udev, pcscd, a seat."""
