"""The command `gpusched`: hands over to the daemon, the simulated worker or the command line.

The only place above both: the command line never imports the daemon, which it knows as a client
only. What is not asked for is not loaded (cold start).
"""

import argparse
import os
import sys

# Each import below is inside the function that needs it: the cold start is measured.
# ruff: noqa: PLC0415


def main() -> int:
    """Run gpusched with the arguments of this process and give its exit code."""
    words = sys.argv[1:]
    if os.path.basename(sys.argv[0]) == "nvidia-smi":  # noqa: PTH119 - pathlib would cost the cold start
        words = ["nvidia-smi", *words]  # a link under that name, for scripts that call it
    if words[:1] == ["simulated-worker"]:
        from gpusched.bootstrap.simulated import simulated_worker

        return simulated_worker(words[1:])
    if words[:1] == ["oci-hook"]:
        from gpusched.launch.oci_hook import oci_hook

        return oci_hook(words[1:])
    if "guard" in words and "off" in words:
        from gpusched.bootstrap.guard_off import guard_off

        failed = guard_off(words)
        if failed is not None:
            return failed
    from gpusched.cli.command import Invocation
    from gpusched.cli.main import main as command_line

    def doctor(invocation: Invocation) -> int:
        from gpusched.bootstrap.doctor import doctor as examine

        return examine(invocation)

    return command_line(words, _serve, doctor)


def _serve(options: argparse.Namespace) -> int:
    from gpusched.bootstrap.serve import serve

    return serve(options)


if __name__ == "__main__":
    sys.exit(main())
