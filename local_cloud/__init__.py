"""Run the local cloud: the synthesized template on moto, with real processes and a real PostGIS.

The wheel does not include this package. `docs/local-cloud.md` lists what is real and what is not.
"""
