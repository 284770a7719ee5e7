"""SSH user certificates: an OpenSSH authority beside the X.509 one, in its folder.

authority   its key, what it signs, and what it signed, on disk
revoked     the list that servers read (OpenSSH, PROTOCOL.krl)
"""

from tokenprov.issuer.ssh.authority import SshAuthority, SshIssued, SshRequest

__all__ = ["SshAuthority", "SshIssued", "SshRequest"]
