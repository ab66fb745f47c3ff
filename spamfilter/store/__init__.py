"""What is remembered: the decision log. SQLite by default, PostgreSQL by URL."""
