"""Contract tests on a token that is named, real or virtual: `pytest hwtests --wipe SERIAL`.

docs/bench.md says how a bench is set up for them and what becomes of the token.
"""
