"""How good is it: metrics, tables, curves."""
