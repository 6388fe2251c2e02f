"""How a model is trained, read from its `train` section: objective, optimizer, schedule and the settings beside them.

Given the tree of a section and a graph; gives a frozen `Recipe` that is known to fit the graph, without NumPy.
"""
