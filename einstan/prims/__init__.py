"""prims: the tables of primitives. `PRIMS` is all of them by name."""

from .linalg import LINALG
from .opaque import OPAQUE
from .reduce import REDUCE
from .scalar import SCALAR
from .shape import SHAPE
from .stable import STABLE

PRIMS = {**SCALAR, **REDUCE, **SHAPE, **LINALG, **STABLE, OPAQUE.name: OPAQUE}
