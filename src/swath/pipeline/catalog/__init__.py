"""Keep a static STAC catalog of all runs in the results bucket.

A run writes its own Item and an entry, and nothing that other runs write. A scheduled function
reads the entries since its last call, and updates the documents of the days that they concern:

```text
stac/catalog.json                           root: one collection for each model
stac/<model>/collection.json                days, extent and versions of the model
stac/<model>/models/<digest>.json           version of the model, a STAC MLM Item
stac/<model>/<day>/catalog.json             Items of the runs of the scenes of one day
stac/<model>/<day>/items.parquet            the same Items as stac-geoparquet
stac/entries/<minute>/<run_id>.json         runs that were published in a minute
runs/<run_id>/item.json                     Item of a run
```
"""
