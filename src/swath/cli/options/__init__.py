"""Define the arguments and options of the commands, each of them once.

A name has one type, one metavar and one help text, whichever command takes it. A help text is a
noun phrase or an imperative sentence, names the unit of a number, and ends with "Repeatable." if
the option may be given several times.
"""
