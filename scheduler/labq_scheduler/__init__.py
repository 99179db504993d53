"""labq_scheduler."""
