"""The measured comparisons with peers, each runnable by one command."""
