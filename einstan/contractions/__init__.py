"""contractions: es.einsum and es.contract: calling forms, checks, one contraction made and kept, paths."""
