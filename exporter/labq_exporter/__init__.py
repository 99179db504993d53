"""labq_exporter."""
