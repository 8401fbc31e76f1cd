"""The decision: pure, from answers, facts and proofs to a stack with its trace. No I/O, no clock."""
