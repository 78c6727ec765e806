"""Define the parts of the stack, one in each file.

The file of a deployable's construct has the name of the deployable's folder.
"""
