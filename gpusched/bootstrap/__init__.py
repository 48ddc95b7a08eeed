"""The composition root: the only place that names adapters, and where absence is chosen.

It reads options, environment and configuration, says in one line what is wrong with them, makes
the world and hands it on. It decides nothing later.
"""
