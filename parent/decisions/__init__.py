"""Pure decisions about rows in memory: nothing here reads or writes a database."""
