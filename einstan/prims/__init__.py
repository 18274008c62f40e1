"""prims: the tables of primitives. `PRIMS` is all of them by name."""

from .opaque import OPAQUE
from .reduce import REDUCE
from .scalar import SCALAR
from .shape import SHAPE

PRIMS = {**SCALAR, **REDUCE, **SHAPE, OPAQUE.name: OPAQUE}
