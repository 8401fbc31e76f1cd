"""The record of what happened and of what came from what."""
