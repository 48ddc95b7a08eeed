"""`gpusched bentoml serve …`: each service of a bento has a lease, made of its own `resources`.

`command` finds BentoML's Python, `serving` runs BentoML there and takes the leases, `enter` stands
before each worker and puts it into its service's lease. `wish` is what a service asks for.
BentoML is not changed, and imported by `serving` alone.
"""
