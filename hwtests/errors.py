"""What stops these tests, in words for whoever is at the bench; no message holds a secret."""

from __future__ import annotations


class BenchError(Exception):
    """The bench, the operator or a command did not do what a test needs."""


class NoSubject(BenchError):
    """No token is meant, or not exactly one: nothing was touched."""


class Abandoned(BenchError):
    """The token is not where it has to be, and whoever moves it does not answer: the run ends."""
