"""What is made: one module a stage, each asset a call of one domain function and a report of what it did."""
