"""Replays of jobs on machines that need not exist, by the very ``decide`` that the server runs."""
