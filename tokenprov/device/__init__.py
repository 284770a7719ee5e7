"""Real tokens over PC/SC and HID: implements what token.py declares, translates library errors."""
