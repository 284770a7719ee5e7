"""From a profile's [fips] to its step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokenprov.profile.device import Application
from tokenprov.profile.fips import APPROVABLE
from tokenprov.step import Step
from tokenprov.steps.fips.approved import ApprovedStep


def fips_steps(applets: Sequence[Application]) -> Iterator[Step]:
    """The look at the end; `applets` are those that the profile sets up."""
    yield ApprovedStep([applet for applet in applets if applet in APPROVABLE])
