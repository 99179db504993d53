"""The policy: pure rules over the labq records; no I/O, no clock."""
