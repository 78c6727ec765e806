"""AWS's bad days, on request: faults that are switched on at the edge of a service.

A fault is what AWS answers or does, never a change of swath. `kinds` has them all, each with its
source; `LocalCloud.fault` switches one on for as long as a block lasts.
"""
