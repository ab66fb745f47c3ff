"""The same fixtures through every frontend: what the seams promise, whoever keeps the promise."""
