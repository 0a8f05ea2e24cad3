"""Plain Python runners of the lean and of the shipped graphs, to compare one with the other."""
