"""Tests of one adapter or service against the real kernel, library or tool."""
