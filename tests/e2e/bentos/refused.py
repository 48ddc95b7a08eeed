"""Services that this host cannot serve."""

import bentoml


@bentoml.service(resources={"gpu": 1, "gpu_type": "nvidia-b200"})
class Elsewhere:
    """Wants what is not here."""


@bentoml.service(resources={"gpu": 1})
class NeedsElsewhere:
    """Could have its device; what it uses cannot."""

    elsewhere = bentoml.depends(Elsewhere)


@bentoml.service(resources={"gpu": 99})
class TooMany:
    """Wants more than there are."""
