"""The parts of the stack, one a file. A deployable's construct has the name of its folder."""
