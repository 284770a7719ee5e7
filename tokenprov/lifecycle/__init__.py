"""What happens to a token after its issue: held, ended, replaced, unblocked, made anew, given back.

Everything done is a work (`record.works`): promised in the ledger, done in parts each of which is
looked at before and after, and ended by its entry in the manifest. Cut off anywhere, the same
command goes on with the same work.
"""
