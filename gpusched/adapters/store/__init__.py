"""The ledger on disk: SQLite behind `ports.Store`, and the lock that makes one daemon its user.

Nothing is decided here. `rows` knows the durable form of values, `schema` the tables, `file` how
to look at a database without touching it, `faults` the sentences, `sqlite` the transactions.
"""
