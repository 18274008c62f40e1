"""orders: the order of multiplication: methods that find one, what each costs, and how they compare."""
