"""The steps, by applet: each class is one setting of a token (step.py says what a step is)."""
