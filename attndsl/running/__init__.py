"""What running a graph needs whatever computes it: the program that a backend gives, checked inputs, first values.

Given a graph, arrays by input and the name of a backend; gives the `Backend`, sizes that fit the arrays or what is
wrong with them, and parameters that are the same on every backend.
"""
