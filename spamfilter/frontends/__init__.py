"""The ways in: each frontend turns its protocol into a `Message`, asks the scanner, and acts on the decision."""
