"""The list of commands: where each is, what it is for, and an example.

Nothing is imported: it is read on every start, and help, completion and tests are made from it.
"""


class Entry:
    """One command, without loading it.

    Attributes:
        module: Module of `gpusched.cli` whose `COMMANDS` has it.
        usage: Its arguments in short.
        summary: What it does, in one sentence.
        example: A command to paste.
    """

    __slots__ = ("example", "module", "summary", "usage")

    def __init__(self, module: str, usage: str, summary: str, example: str) -> None:
        self.module = module
        self.usage = usage
        self.summary = summary
        self.example = example


INDEX: dict[str, Entry] = {
    "run": Entry(
        "run",
        "ALLOC [--if-available] -- CMD",
        "Run CMD on devices that nobody else gets; the lease ends with it.",
        "gpusched run --gpus 1 --memory 8GiB -- python train.py",
    ),
    "allocate": Entry(
        "environment",
        "ALLOC",
        "Take devices for a process that is started later.",
        'eval "$(gpusched allocate --gpus 2 --format env)"',
    ),
    "status": Entry(
        "status",
        "[--watch]",
        "Show the host: devices, their processes with memory, lease and user, and who waits.",
        "gpusched status --watch",
    ),
    "devices": Entry(
        "devices",
        "[--topology]",
        "List the devices with UUID, memory and health, or how they are joined.",
        "gpusched devices --topology",
    ),
    "types": Entry(
        "devices", "", "List what this host offers, and how much of it is free.", "gpusched types"
    ),
    "leases": Entry(
        "leases",
        "[--mine] [--ended]",
        "List leases: who has what, since when, and what ends it; and who waits for what.",
        "gpusched leases --mine",
    ),
    "processes": Entry(
        "status",
        "",
        "List the processes on the devices, as nvidia-smi does, with lease and user.",
        "gpusched processes",
    ),
    "events": Entry(
        "events",
        "[--follow]",
        "Tell what happened to leases, devices and the daemon.",
        "gpusched events --follow",
    ),
    "explain": Entry(
        "explain",
        "[ALLOC | REQUEST | --lease LEASE | --device DEVICE]",
        "Say why a request is or would be granted or not, and what would do; changes nothing.",
        "gpusched explain --gpus 2 --memory 40GiB",
    ),
    "env": Entry(
        "environment",
        "LEASE",
        "Print the environment of a lease.",
        'eval "$(gpusched env lease-3f9k)"',
    ),
    "attach": Entry(
        "attaching",
        "LEASE --pid P | --unit U | --container C | --cgroup PATH",
        "Put what runs already under a lease, and its mask in the kernel.",
        "gpusched attach lease-3f9k --pid 4242",
    ),
    "renew": Entry(
        "leases",
        "LEASE",
        "Set the keepalive clock of a lease back, and keep it though it is idle.",
        "gpusched renew lease-3f9k",
    ),
    "release": Entry(
        "ending",
        "LEASE [--kill [--grace TIME] [--no-wait]]",
        "Give the devices of a lease back; with --kill its processes are ended.",
        "gpusched release lease-3f9k --kill --grace 30s",
    ),
    "cancel": Entry(
        "ending",
        "REQUEST",
        "Withdraw a request that waits, or whose lease nobody uses yet, by its id.",
        "gpusched cancel wait-83a537f252",
    ),
    "config": Entry(
        "config_check",
        "check",
        "Check the configuration file and name all its faults at once.",
        "gpusched config check --config /etc/gpusched/gpusched.toml",
    ),
    "completion": Entry(
        "completion",
        "bash|zsh|fish",
        "Print the completion script of a shell.",
        "gpusched completion bash > ~/.local/share/bash-completion/completions/gpusched",
    ),
    "serve": Entry("serve", "", "Run the daemon.", "gpusched serve --simulate 4xA100-80GB,4xL4"),
    "setup": Entry(
        "setup",
        "[--from PATH | --uninstall]",
        "Install or upgrade the service of this host's systemd, or take it away.",
        "sudo gpusched setup",
    ),
    "doctor": Entry(
        "doctor",
        "[--cuda VERSION]",
        "Look for what is wrong on this host, and say what to do; needs no daemon and no GPU.",
        "gpusched doctor --cuda 12.4",
    ),
    "adopt": Entry(
        "adopting",
        "[PID | --all] [--dry-run]",
        "Turn processes that run on the devices already into leases; for administrators.",
        "gpusched adopt --all --dry-run",
    ),
    "revoke": Entry(
        "ending",
        "LEASE --reason R [--grace TIME] [--signal-in-place] [--no-wait]",
        "End somebody's lease and its processes, with a reason; for administrators.",
        'gpusched revoke lease-3f9k --reason "maintenance" --grace 1m',
    ),
    "forget": Entry(
        "devices",
        "DEVICE",
        "Stop waiting for ghost memory of a device; for administrators.",
        "gpusched forget 3",
    ),
    "cordon": Entry(
        "marking",
        "DEVICE --reason R",
        "No new leases on a device; those there stay (Slurm calls this DRAIN).",
        'gpusched cordon 3 --reason "fan is loud"',
    ),
    "uncordon": Entry(
        "marking", "DEVICE", "Take cordon, drain and taints off a device.", "gpusched uncordon 3"
    ),
    "drain": Entry(
        "marking",
        "DEVICE --reason R [--deadline TIME] [--signal-in-place]",
        "Cordon a device and end its leases (Slurm's DRAIN does not end jobs).",
        'gpusched drain 3 --reason "replace it" --deadline 30m',
    ),
    "guard": Entry(
        "guard",
        "on|off|status",
        "Keep processes without a lease away from all devices.",
        "gpusched guard on",
    ),
    "nvml": Entry(
        "nvml",
        "release [--reason R] | resume",
        "Let go of the driver for an upgrade or a reset, and take it up again.",
        'gpusched nvml release --reason "driver upgrade"',
    ),
    "bentoml": Entry(
        "bentoml",
        "serve …",
        "Run `bentoml serve …` with a lease for each service, made of its own `resources`.",
        "gpusched bentoml serve service:MyService --port 3000",
    ),
    "nvidia-smi": Entry(
        "nvidia_smi",
        "[-L | --query-gpu=… | --query-compute-apps=… | -q [-x]] [--layout BRANCH]",
        "Print what nvidia-smi prints, with NVIDIA's own flags.",
        "gpusched nvidia-smi --query-gpu=index,memory.used --format=csv",
    ),
}
"""Every command by its name, in the order of the help."""
