"""Tests of promises about the project itself: its shape, its README, its wire format."""
