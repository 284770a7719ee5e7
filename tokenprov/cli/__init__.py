"""The command line: parse, call one function, print. Data to stdout, talk to stderr.

Exit codes: 0 done, 1 an error of the program itself, 2 bad input, 3 the station, 4 a token,
5 the issuer, 6 evidence does not hold, 7 escrow, 8 orders are left, 130 interrupted.
"""

from tokenprov.cli.main import main

__all__ = ["main"]
