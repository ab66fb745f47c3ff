"""Benchmarks, one command each: `python -m tests.bench.speed`, `.ceiling`, `.size`, `.parsers`, `.relay`, `.daemon`,
`.accuracy`. pytest does not run them; it runs `test_figures.py`, their arithmetic."""
