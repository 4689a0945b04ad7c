"""The trace store: SQLite, and the only place that holds SQL."""
