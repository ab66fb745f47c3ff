"""What is remembered: the decision log and the labels. SQLite by default, PostgreSQL by URL."""
