"""`python -m spamfilter`: the same as the `spamfilter` command."""

from spamfilter.cli import main

if __name__ == "__main__":
    main()
