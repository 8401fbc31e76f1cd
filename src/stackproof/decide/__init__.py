"""The decision: pure, from answers, facts and proofs to a stack with its trace. No I/O, no clock."""

from stackproof.decide.answers import Answers, parse_answers
from stackproof.decide.deciding import decide
from stackproof.decide.decision import Decision
from stackproof.decide.stack_file import decided_stack

__all__ = ["Answers", "Decision", "decide", "decided_stack", "parse_answers"]
