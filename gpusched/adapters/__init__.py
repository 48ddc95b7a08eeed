"""Everything that touches the world, one small file or package per port; only bootstrap names it.

An adapter translates its errors at its edge and knows neither a policy nor another adapter.
"""
