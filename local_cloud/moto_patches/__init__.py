"""Gaps of moto 5.2.5, closed from outside: one module for each AWS behaviour that it restores.

Importing a module changes nothing; `installed.install` applies them all, once.
"""
