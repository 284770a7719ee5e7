"""Commands to a card of any maker: short APDUs, chained, in the words of either protocol.

Rules (ISO/IEC 7816-4, 5.1 to 5.3; 7816-3, 10 to 12):
- No extended APDUs: what is longer than 255 bytes is chained, and a long answer is fetched by
  GET RESPONSE. Every card that keeps SP 800-73-4 takes that (part 2, 2.5).
- Over T=0 a command with data carries no Le, and one without body carries a zero.
- 6Cxx names the length that the card wants to give: the command is sent again with it.
"""

from __future__ import annotations

from yubikit.core.smartcard import SW, ApduError, SmartCardConnection

from tokenprov.errors import TokenRefused

INS_GET_RESPONSE = 0xC0  # 7816-4, 11.7.1
CHAINING = 0x10  # bit of the class byte; 5.3.3
CHUNK = 255  # bytes of data in a short APDU
MORE, WRONG_LE = 0x61, 0x6C  # first bytes of status words; table 5
LONGEST = 65536  # bytes of an answer: no PIV object comes near


class Exchange:
    """Sends commands on a connection; `t0`: the card speaks T=0, else T=1."""

    def __init__(self, connection: SmartCardConnection, *, t0: bool = False) -> None:
        self._connection, self._t0 = connection, t0

    def send(
        self, ins: int, p1: int, p2: int, data: bytes = b"", *, answers: bool = False
    ) -> bytes:
        """One command and its whole answer; `answers`: whether one is expected.

        Raises `ApduError` for every status word but 9000.
        """
        while len(data) > CHUNK:
            part, data = data[:CHUNK], data[CHUNK:]
            self._whole(bytes([CHAINING, ins, p1, p2]), part, answers=False)
        return self._whole(bytes([0, ins, p1, p2]), data, answers=answers)

    def _whole(self, head: bytes, data: bytes, *, answers: bool) -> bytes:
        answer, sw = self._once(head, data, 0 if answers else None)
        while sw >> 8 == MORE:
            more, sw = self._once(bytes([0, INS_GET_RESPONSE, 0, 0]), b"", sw & 0xFF)
            answer += more
            if len(answer) > LONGEST or not more and sw >> 8 == MORE:
                raise TokenRefused(
                    f"the card's answer has no end ({len(answer)} bytes so far)",
                    remedy="Insert the card again; if it stays so, set it aside.",
                    code=sw,
                )
        if sw != SW.OK:
            raise ApduError(answer, sw)
        return answer

    def _once(self, head: bytes, data: bytes, le: int | None) -> tuple[bytes, int]:
        """One exchange; once more where the card names another length (0 stands for 256)."""
        answer, sw = self._connection.send_and_receive(self._apdu(head, data, le))
        if sw >> 8 == WRONG_LE and (not data or le is not None and not self._t0):
            return self._connection.send_and_receive(self._apdu(head, data, sw & 0xFF))
        return answer, sw

    def _apdu(self, head: bytes, data: bytes, le: int | None) -> bytes:
        body = bytes([len(data)]) + data if data else b""
        if le is not None and not (self._t0 and data):
            body += bytes([le])
        return head + (body or b"\0" * self._t0)
