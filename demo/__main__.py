"""The main job, shown: daemon, workers, status, nvidia-smi, a queue, masks, over-use, a crash.

Each later capability adds its scene here. It fails, with exit code 1, when a scene does not show
what it must.
"""

import json
import sys
import time

from demo.host import Demo, administers, kill
from demo.server import WORKERS
from tools.stage import GPUSCHED, Failed, end, waiting

EXIT_BAD, EXIT_LATER, EXIT_NEVER = 64, 75, 78
WORK = "simulated-worker --memory 2GiB"
SECOND_USER = 65534
FOREIGN = 0
"""A device of the exclusive pair, by index."""
WAITED_FOR = 5
"""A device that nobody has at that time."""


def daemon_starts(demo: Demo) -> None:
    """The daemon starts over 4 A100-80GB and 4 L4 (simulated)."""
    demo.start_daemon()
    demo.show("devices")


def workers_ask(demo: Demo) -> None:
    """Workers ask over gRPC: an exclusive pair, two that share one device, one wants an L4."""
    demo.start_worker("pair", "24GiB", "gpus=2", "gpu_types=nvidia-a100-80gb")
    demo.start_worker("share-1", "6GiB", "memory=8GiB", "gpu_types=a100")
    demo.start_worker("share-2", "7GiB", "memory=8GiB", "gpu_types=a100")
    demo.start_worker("typed", "3GiB", "gpu_types=nvidia-l4")


def status_shows(demo: Demo) -> None:
    """`gpusched status` has every worker with its real pid and MiB."""
    expected = [
        (str(worker.pid), f"{mib}MiB")
        for worker, mib in zip(demo.workers, (24576, 6144, 7168, 3072), strict=True)
    ]
    for _ in waiting(10, "every worker in the process table"):
        seen = demo.gpusched("status").stdout
        if all(pid in seen and memory in seen for pid, memory in expected):
            break
    demo.show("status")


def nvidia_smi_shows(demo: Demo) -> None:
    """`gpusched nvidia-smi` prints the same processes in nvidia-smi's own screen, and its CSV."""
    screen = demo.show("nvidia-smi").stdout
    query = ("--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
    rows = demo.show("nvidia-smi", *query).stdout
    for worker in demo.workers:
        if str(worker.pid) not in screen or str(worker.pid) not in rows:
            raise Failed(f"nvidia-smi does not show process {worker.pid}")


def refusals_explain(demo: Demo) -> None:
    """A refusal says why and what would do: a bad request, later, never here."""
    for code, words in (
        (EXIT_BAD, ("--gpu-type", "nvidia-h100-80gb")),
        (EXIT_LATER, ("--gpus", "2", "--gpu-type", "a100")),
        (EXIT_NEVER, ("--memory", "100GiB")),
    ):
        if demo.show("run", *words, "--", "true").returncode != code:
            raise Failed(f"`gpusched run {' '.join(words)} -- true` did not end with {code}")


def who_waits_is_served(demo: Demo) -> None:
    """Who waits has a place, and hears why; what he waits for is his as soon as it is free."""
    device = ("--device", str(WAITED_FOR))
    holder = demo.start(str(GPUSCHED), "run", *device, "--", str(GPUSCHED), *WORK.split())
    for _ in waiting(10, "the device to be taken"):
        if any(holder.pid in pids for pids in demo.leases().values()):
            break
    words = ("sh", "-c", "echo $GPUSCHED_LEASE has its turn")
    print(f"$ gpusched run {' '.join(device)} --wait -- {words[-1]} &", flush=True)
    waiter = demo.start(str(GPUSCHED), "run", *device, "--wait", "--", *words)
    for _ in waiting(10, "a request to wait"):
        if demo.waiting():
            break
    explained = demo.show("explain", *demo.waiting())
    end(holder)
    served = waiter.communicate(timeout=10)[0]
    print(served, end="")
    if "in place 1 of 1" not in explained.stdout or "has its turn" not in served:
        raise Failed("who waited was not told why, or not served")


def a_server_shares_out(demo: Demo) -> None:
    """Each worker of a server has a device of its own, and a container would have one by flags."""
    server = (sys.executable, "-m", "demo.server")
    done = demo.show("run", "--gpus", str(WORKERS), "--gpu-type", "l4", "--", *server)
    devices = {line.rpartition(" ")[2] for line in done.stdout.splitlines()}
    if done.returncode or len(devices) != WORKERS:
        raise Failed("the workers did not have a device each")
    allocated = demo.gpusched("--json", "allocate", "--gpu-type", "l4").stdout
    lease = json.loads(allocated)["lease"]["id"]
    if demo.show("env", lease, "--format", "docker").returncode:
        raise Failed("there are no flags for a container")
    demo.show("release", lease)


def masks_hold(demo: Demo) -> None:
    """A second user's worker goes for a device that it does not have: the kernel says no."""
    why_not = demo.holds()
    if why_not:
        print(f"not here: {why_not}")
        landlock_holds(demo)
        return
    stranger = (sys.executable, "-m", "demo.stranger", str(SECOND_USER), str(FOREIGN))
    done = demo.run(*stranger)
    print(done.stdout + done.stderr, end="")
    if "leased nvidia3: ENXIO" not in done.stdout or "foreign nvidia0: EPERM" not in done.stdout:
        raise Failed("the kernel did not hold the mask")
    lease, denied = done.stdout.partition(":")[0], list[str]()
    for _ in waiting(10, "the event of the denied open"):
        told = demo.gpusched("events").stdout.splitlines()
        denied = [one for one in told if lease in one and "was denied" in one]
        if denied:
            break
    print("$ gpusched events | grep denied", *denied, sep="\n")


def landlock_holds(demo: Demo) -> None:
    """What `gpusched run` does by itself where the daemon cannot, on a kernel with Landlock."""
    listed = json.loads(demo.gpusched("devices", "--json").stdout)["devices"]
    foreign = next(one for one in listed if one.get("index") == FOREIGN)["nodes"][0]["path"]
    if demo.show("run", "--gpu-type", "a100", "--", "head", "-c", "1", foreign).returncode:
        print("that was Landlock, which `gpusched run` takes on by itself")


def release_kills(demo: Demo) -> None:
    """A lease in use is not released unless its processes are ended, too."""
    lease, _ = demo.start_run("sh", "-c", f"echo begun; exec {GPUSCHED} {WORK}")
    if demo.show("release", lease).returncode != EXIT_BAD:
        raise Failed(f"{lease} was released in use")
    why_not = demo.holds()
    killed = demo.show("release", lease, "--kill", "--grace", "2s")
    if why_not:
        # Known by name only: it ends with its process.
        for run in demo.runs:
            end(run)
    elif killed.returncode or lease in demo.leases():
        raise Failed(f"{lease} did not end")


def children_keep_it(demo: Demo) -> None:
    """`kill -9` of a parent whose child has the device: the lease ends with the last child."""
    lease, lines = demo.start_run("sh", "-c", f"{GPUSCHED} {WORK} & echo $$ $!; wait")
    parent, child = map(int, lines[0].split())
    kill(parent)
    for _ in waiting(10, f"{lease} to be the child's alone"):
        left = demo.leases().get(lease, [])
        if child in left and parent not in left:
            break
    demo.show("leases")
    kill(child)
    for _ in waiting(10, f"{lease} to end with its last process"):
        if lease not in demo.leases():
            return


def over_use_ends(demo: Demo) -> None:
    """A worker takes more than its lease has: it is warned, sent SIGTERM, killed; no other is."""
    why_not = demo.holds()
    if why_not:
        print(f"not here, where processes are known by name only: {why_not}")
        return
    wish = ("--gpu-type", "a100", "--memory", "4GiB", "--over-use", "terminate")
    work = ("simulated-worker", "--memory", "6GiB", "--ignore-term")
    worker = demo.start(str(GPUSCHED), "run", *wish, "--", str(GPUSCHED), *work)
    lease = ""
    for _ in waiting(10, "the lease of the greedy worker"):
        lease = next((one for one, pids in demo.leases().items() if worker.pid in pids), "")
        if lease:
            break
    for _ in waiting(30, f"{lease} to end"):
        if lease not in demo.leases():
            break
    told = [one for one in demo.gpusched("events").stdout.splitlines() if lease in one]
    print(f"$ gpusched events | grep {lease}", *told, sep="\n")
    if "its limit" not in told[-1] or any(one.poll() is not None for one in demo.workers):
        raise Failed("it did not end for its over-use, or a neighbour did")


def cordon_keeps_away(demo: Demo) -> None:
    """An operator cordons a device: its leases stay, new ones go elsewhere."""
    if not administers():
        return
    demo.show("cordon", "7", "--reason", "fan is loud")
    refused = demo.show("run", "--device", "7", "--", "true")
    if refused.returncode != EXIT_LATER or "fan is loud" not in refused.stderr:
        raise Failed("a cordoned device was given away")
    demo.show("uncordon", "7")


def strays_are_adopted(demo: Demo) -> None:
    """A process uses a device and asked nobody: it is seen, and becomes a lease as it runs."""
    if not administers():
        return
    where = {"GPUSCHED_SIMULATOR": str(demo.state / "simulator"), "CUDA_VISIBLE_DEVICES": "6"}
    words = [f"{name}={value}" for name, value in where.items()]
    stray = demo.start("env", *words, "CUDA_DEVICE_ORDER=PCI_BUS_ID", str(GPUSCHED), *WORK.split())
    demo.workers.append(stray)
    for _ in waiting(10, "the stray to be seen"):
        if str(stray.pid) in demo.gpusched("adopt", "--dry-run").stdout:
            break
    demo.show("adopt", "--dry-run")
    demo.show("adopt", str(stray.pid))
    if not any(stray.pid in pids for pids in demo.leases().values()) or stray.poll() is not None:
        raise Failed("the stray was not adopted")


def crash_loses_nothing(demo: Demo) -> None:
    """A crash of the daemon loses no lease."""
    before = demo.leases().keys()
    demo.show("leases")
    print("$ kill -9 DAEMON; gpusched serve …")
    demo.kill_daemon()
    demo.start_daemon()
    demo.show("leases")
    if demo.leases().keys() != before or len(before) != len(demo.workers):
        raise Failed("the leases are not the same after the restart")


def all_ends(demo: Demo) -> None:
    """Leases end with their processes, and the daemon ends in order."""
    for worker in demo.workers:
        end(worker)
    for _ in waiting(10, "the leases to end with their workers"):
        if not demo.leases():
            break
    demo.show("leases", "--ended")
    code = demo.stop_daemon()
    print(f"the daemon ended with {code}")
    if code:
        raise Failed(demo.log.read_text())


SCENES = (
    daemon_starts,
    workers_ask,
    status_shows,
    nvidia_smi_shows,
    refusals_explain,
    who_waits_is_served,
    a_server_shares_out,
    masks_hold,
    release_kills,
    children_keep_it,
    over_use_ends,
    cordon_keeps_away,
    strays_are_adopted,
    crash_loses_nothing,
    all_ends,
)


def main() -> int:
    """Play every scene."""
    began = time.perf_counter()
    try:
        with Demo() as demo:
            for scene in SCENES:
                print(f"\n— {scene.__doc__}")
                scene(demo)
    except Failed as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    print(f"\nThat was the main job, in {time.perf_counter() - began:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
