"""Export detections to files, and draw them over their scene.

Detections come from the files of runs or from the database. They pass through in batches, so that
memory does not grow with their number.
"""
