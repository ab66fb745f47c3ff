"""The steps, append-only: one numbered file a change."""
