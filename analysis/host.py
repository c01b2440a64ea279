"""Arrays on the host."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .score_inputs import Values


def host_array(values: Values) -> NDArray[Any]:
    """Return an array, of a tensor on any device without its gradient; bfloat16 as float32."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    narrow = values.is_floating_point() and values.element_size() < 4  # numpy has no bfloat16
    return (values.float() if narrow else values).numpy()
