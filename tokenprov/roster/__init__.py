"""Rosters: who gets tokens, as a file from a person.

Rules:
- CSV (RFC 4180; comma, semicolon or tab; a first line `sep=;` as spreadsheets write it) or a JSON
  array of objects. One holder a line, one line a holder.
- UTF-8, with or without BOM, or UTF-16 with BOM. Any other encoding is refused with the byte that
  gave it away: a guess would put a wrong name into a certificate.
- Columns `id`, `name` and `email` are needed; `upn`, `groups` (split by ; or |) and `last_day`
  (year-month-day) may be there; every other column is kept in `extra` for templates.
- Column names are taken without regard to case, spaces, dashes and dots; the usual names of
  directories are known ("mail", "displayName", "employee id").
- Ids, addresses and UPNs are unique, also when only their case differs.
- A file is read to its end and refused as a whole, with every problem's line and remedy.
"""

from tokenprov.roster.load import Roster, load_roster, parse_roster

__all__ = ["Roster", "load_roster", "parse_roster"]
