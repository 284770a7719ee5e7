"""What stays: the ledger (working state), the escrow (sealed secrets), the manifest (signed log).

files      durable writes, the station's lock
canonical  RFC 8785 JSON
note       C2SP signed notes            checkpoint  C2SP tlog-checkpoint
tlog       RFC 6962 hashing, C2SP tiles proof       inclusion and consistency
entry      what an entry may hold       history     which entry may follow which
opening    salted commitments to holders
folder     the manifest's folder, read  manifest    the same, appended to
verify     the manifest, judged
escrow     HPKE envelopes               resume      the station's key of an open order
ledger     batches, orders, intents, sealed secrets; tables and rows beside it
"""
