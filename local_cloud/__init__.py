"""The local cloud: the synthesized template on moto, with real processes and a real PostGIS.

Nothing here is part of the wheel; `docs/local-cloud.md` says what is real and what is not.
"""
