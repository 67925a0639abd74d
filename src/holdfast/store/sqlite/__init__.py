"""The store on an SQLite file, or in memory."""
