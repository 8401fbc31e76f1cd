"""What is known of each tool, as dated and sourced data; and the loader that checks it."""

from stackproof.facts.loader import load_facts
from stackproof.facts.model import Facts

__all__ = ["Facts", "load_facts"]
