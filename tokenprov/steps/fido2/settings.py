"""Settings of the authenticator by authenticatorConfig (CTAP 2.1, 6.11): each is read first.

A second run finds them set and writes nothing. A change of the PIN is forced last: after it the PIN
gives no token for anything but changing it (6.5.5.7), so that nothing else could be set.
"""

from __future__ import annotations

from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.steps.fido2.pin import held_pin
from tokenprov.token import FidoApplet, Token

READERS = "relying parties that may read it"


class SettingStep:
    """What the settings have in common: nothing drawn, and what a token without them means."""

    id: str
    title: str
    cannot: str  # what a token without the setting cannot do: "it cannot …"

    def __init__(self, *, required: bool) -> None:
        self._required = required

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing."""
        return Drawn()

    def missing(self) -> Finding:
        """This token has no such setting."""
        if self._required:
            return Finding(state=State.CONFLICT, reason=f"it cannot {self.cannot}")
        return Finding(state=State.SKIPPED, reason=f"the token cannot {self.cannot}")


class MinimumPinLengthStep(SettingStep):
    """How short a PIN may be, and the relying parties that may read it: one write."""

    id = "fido2/minimum-pin-length"
    title = "minimum FIDO2 PIN length"
    cannot = "demand a minimum length of the FIDO2 PIN"

    def __init__(self, *, length: int, rp_ids: tuple[str, ...], required: bool) -> None:
        """`length` counts code points. It can only grow (CTAP 2.1, 6.11.4)."""
        super().__init__(required=required)
        self._length, self._rp_ids = length, rp_ids

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By getInfo, which does not tell the relying parties.

        Once a change of the PIN is forced, this is long done: it is the last step.
        """
        fido = token.fido2()
        now, most = fido.info.min_pin_length, fido.info.max_rpids_for_min_pin
        if now >= self._length and not self._rp_ids:
            return Finding(state=State.MATCH, facts={"length": now})
        if not fido.can_set_pin_policy():
            return self.missing()
        if len(self._rp_ids) > most:
            return Finding(
                state=State.CONFLICT,
                reason=f"it keeps {most} relying parties that may read the minimum PIN length,"
                f" and the profile names {len(self._rp_ids)}",
            )
        if now < self._length or intent is None:
            return Finding(state=State.ABSENT, facts={"length": now})
        if intent.applied or fido.info.force_pin_change:
            return Finding(state=State.MATCH, facts={"length": now}, unread=(READERS,))
        return Finding(
            state=State.UNKNOWN, reason="it does not tell who may read its minimum PIN length"
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """Needs the PIN. Writing the same again changes nothing."""
        fido = token.fido2()
        length = max(self._length, fido.info.min_pin_length)
        fido.set_minimum_pin_length(length, self._rp_ids, held_pin(token))


class EnterpriseAttestationStep(SettingStep):
    """The token may name its serial to relying parties that ask for it (CTAP 2.1, 7.1)."""

    id = "fido2/enterprise-attestation"
    title = "enterprise attestation"
    cannot = "do enterprise attestation"

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By getInfo's option "ep"."""
        enabled = token.fido2().info.options.get("ep")
        if enabled is None:
            return self.missing()
        if enabled:
            return Finding(state=State.MATCH, facts={"enterpriseAttestation": True})
        return Finding(state=State.ABSENT)

    def apply(self, token: Token, intent: Intent) -> None:
        """Needs the PIN."""
        token.fido2().enable_enterprise_attestation(held_pin(token))


class AlwaysUvStep(SettingStep):
    """The PIN for every use (CTAP 2.1, 7.2), which takes U2F away (7.2.4)."""

    id = "fido2/always-uv"
    title = "alwaysUv"
    cannot = "demand the PIN for every use"

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By getInfo's option; the command for it toggles, so only what is off is written."""
        fido = token.fido2()
        on = fido.info.options.get("alwaysUv")
        if on is None:
            return self.missing()
        if on:
            return Finding(state=State.MATCH, facts={"alwaysUv": True, "u2f": fido.u2f})
        return Finding(state=State.ABSENT)

    def apply(self, token: Token, intent: Intent) -> None:
        """Needs the PIN."""
        token.fido2().switch_always_uv_on(held_pin(token))


class PinComplexityStep(SettingStep):
    """Weak PINs are refused: by the device's own setting, or by authenticatorConfig (CTAP 2.3)."""

    id = "fido2/pin-complexity"
    title = "PIN complexity"
    cannot = "refuse weak PINs"

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By the device information and getInfo."""
        fido = token.fido2()
        enforced = fido.enforces_complexity
        if enforced:
            return Finding(state=State.MATCH, facts={"enforced": True})
        if enforced is None or not fido.can_set_pin_policy():
            return self.missing()
        return Finding(state=State.ABSENT)

    def apply(self, token: Token, intent: Intent) -> None:
        """Needs the PIN."""
        token.fido2().enforce_complexity(held_pin(token))


class ForcePinChangeStep(SettingStep):
    """The holder must change the PIN before its first use."""

    id = "fido2/force-pin-change"
    title = "FIDO2 PIN change"
    cannot = "force a change of the FIDO2 PIN"

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By getInfo."""
        fido: FidoApplet = token.fido2()
        if fido.info.force_pin_change:
            return Finding(state=State.MATCH, facts={"forced": True})
        return Finding(state=State.ABSENT) if fido.can_set_pin_policy() else self.missing()

    def apply(self, token: Token, intent: Intent) -> None:
        """Needs the PIN."""
        token.fido2().force_pin_change(held_pin(token))
