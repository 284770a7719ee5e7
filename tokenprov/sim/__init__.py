"""Virtual tokens: a separate program that speaks APDUs and knows nothing else of tokenprov.

Written from the makers' and the standards' documents, and judged by programs from elsewhere.
"""
