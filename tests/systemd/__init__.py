"""Tests in a machine of their own, booted by a real systemd; what it takes to have one."""
