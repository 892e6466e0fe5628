"""Three-level reasoning: what writes it (`grounded`) and what judges it (`verifier`)."""
