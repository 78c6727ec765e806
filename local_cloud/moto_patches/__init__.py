"""Fill gaps of moto 5.2.5 from outside, with one module for each AWS behavior that it restores.

Importing a module changes nothing; `installed.install` applies all patches once.
"""
