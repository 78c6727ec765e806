"""Making model packages: described, checked, made smaller, and put where a stack finds them."""
