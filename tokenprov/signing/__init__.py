"""Keys that sign, wherever they are: a file, a PKCS#11 token, the 9c of a PIV token."""

from tokenprov.signing.choose import Ask, ask_unseen, opened_key
from tokenprov.signing.station import StationKeys, StationSigner

__all__ = ["Ask", "StationKeys", "StationSigner", "ask_unseen", "opened_key"]
