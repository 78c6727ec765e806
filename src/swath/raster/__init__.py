"""A scene: open it, read its tiles, say where it is on Earth."""
