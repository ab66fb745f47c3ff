"""Worker processes and what feeds them. Names nothing: a worker imports this package and must stay light."""
