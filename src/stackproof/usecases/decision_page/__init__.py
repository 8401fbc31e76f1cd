"""decision.html: a decision as one self-contained page."""

from stackproof.usecases.decision_page.rendering import decision_page

__all__ = ["decision_page"]
