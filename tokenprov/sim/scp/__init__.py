"""Secure channels to a virtual token: SCP03 and SCP11, under the applets and beside none of them.

`keys` holds what the security domain keeps, `scp03` and `scp11` open a channel with it, `channel`
is one that is open, and `secure_messaging` puts it between the token's contact and its applets.
"""
