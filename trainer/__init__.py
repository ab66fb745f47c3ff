"""The trainer: teach a small GPT language from raw text, then to tell spam from ham; pack the result into a bundle."""
