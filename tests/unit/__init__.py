"""Tests of pure code: no file, no socket, no process, no clock; the whole folder in seconds."""
