"""Tests of the installed command with real processes, from outside."""
