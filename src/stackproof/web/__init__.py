"""The web interface. Empty until the issue that fills it."""
