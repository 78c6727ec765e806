"""Load and run models of any format, in batches that fit the device's memory."""
