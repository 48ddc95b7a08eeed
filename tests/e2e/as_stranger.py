"""Asks everything about another's lease as a process of another user, and prints what it got.

Run as `python -m tests.e2e.as_stranger UID SOCKET LEASE HOLDER`: a JSON object, each method with
the status and the answer. Everything is loaded as root, for he may not read the project.
"""

import json
import os
import sys

import grpc

from tests.fakes.stranger import ROWS, Victim, asked

if __name__ == "__main__":
    uid = int(sys.argv[1])
    # grpc loads the rest of itself with the first channel.
    grpc.insecure_channel(f"unix:{sys.argv[2]}").close()
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    his = Victim(sys.argv[3], int(sys.argv[4]), "hush-key")
    with grpc.insecure_channel(f"unix:{sys.argv[2]}") as channel:
        got = {name: asked(channel, name, request(his)) for name, (_, request) in ROWS.items()}
    sys.stdout.write(json.dumps(got))
