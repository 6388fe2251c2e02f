"""What running a graph needs whatever computes it: the program that a backend gives, checked inputs, first values."""
