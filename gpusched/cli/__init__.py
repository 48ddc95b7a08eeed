"""The command line: words in, tables out. It reaches the daemon only as a client.

`main` parses and turns failures into sentences and exit codes; one module per group of commands.
`gpusched status` has to start within three starts of Python, so a module is loaded only when its
command is typed, and none imports dataclasses, typing, pathlib or shutil on that path.
"""
