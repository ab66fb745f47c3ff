"""Who may come in, as whom, and what the browser is told to forbid."""
