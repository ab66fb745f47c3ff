"""The filters that others run, each started from a folder of its own, on ports of its own, and ended again."""
