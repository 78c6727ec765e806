"""Models, whatever their format and library: fed, run, and asked for no more than they can hold."""
