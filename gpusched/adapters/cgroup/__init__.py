"""Leases made true by the kernel: a cgroup for each, and a device program that holds its mask.

Every program here only narrows: what another program along the path denies stays denied.
"""
