"""What stays: the ledger (working state), the escrow (sealed secrets), the manifest (signed log).

files      durable writes, the station's lock
canonical  RFC 8785 JSON
note       C2SP signed notes           checkpoint  C2SP tlog-checkpoint
signer     private keys that sign them verifier_key  their public halves
tlog       RFC 6962 hashing, C2SP tiles proof       inclusion and consistency
entry      entries as bytes             kinds       what each kind holds
history    which entry may follow       index       the same, kept beside the log
people     who may do what             request     what they sign
approval   whether it allows an act
opening    salted commitments to holders
folder     the manifest's folder, read  manifest    the same, appended to
verify     the manifest, judged        head        its checkpoint, keys and cosigners
pin        and against what was seen before
key_change one key after another       key_list    and the list that a root signed
growth     what an append adds          commit      and how it becomes durable
across     several of them together     handout     one entry that proves itself
export     entries for other tools         erasure     a holder forgotten
witness    cosigns what only grew
escrow     HPKE envelopes               custodian_key  and who opens them
sealed     envelopes by their key       resume      the station's key of an open order
ledger     batches, orders, intents, sealed secrets; tables and rows beside it
"""
