"""What the tests share: a private engine, a private Redis, a fake NVML, and a whole lab in a box."""
