"""A device for each worker as one may have read that it is written."""

import bentoml


@bentoml.service(workers=[{"gpus": 1}, {"gpus": [1, 2]}])
class Listed:
    """BentoML does not accept it."""
