"""labq_worker."""
