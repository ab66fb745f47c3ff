"""Benchmarks, one command each: `python -m tests.bench.relay`, `.daemon`, `.accuracy`. pytest does not run them."""
