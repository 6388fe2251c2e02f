"""The backends that come with attndsl, a package each; they are installed as `attndsl.backends`.

Each is given a graph and gives a program that runs it and a trainer. `attndsl.running.backends` knows them by name, and
another one is registered there.
"""
