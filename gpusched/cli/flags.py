"""The words of the command line for the fields of the API, in sentences of the daemon."""

_FLAGS = {
    "count": "--gpus",
    "min_count": "--min-gpus",
    "max_count": "--gpus",
    "memory_bytes": "--memory",
    "memory_fraction": "--memory",
    "device_uuids": "--device",
    "gpu_types": "--gpu-type",
    "mig_profile": "--mig",
    "pool": "--pool",
    "sharing": "--sharing",
    "topology": "--topology",
    "topology_required": "--topology-required",
    "placement": "--placement",
    "affinity_key": "--affinity",
    "wait": "--wait",
    "priority": "--priority",
    "time_limit": "--time-limit",
    "attach_deadline": "--attach-deadline",
    "labels": "--label",
    "grace": "--grace",
    "deadline": "--deadline",
    "lease_id": "LEASE",
    "request_id": "REQUEST",
    "reason": "--reason",
    "cgroup": "--cgroup",
    "unit": "--unit",
    "container": "--container",
    "allow_larger_mig_profile": "--allow-larger-mig",
}


def in_flags(sentence: str, field: str) -> str:
    """Name what a user types instead of the fields that it becomes.

    Args:
        sentence: What the daemon says, which begins with the name of the field that it is about.
        field: That field; empty where it is about none.
    """
    words = sentence
    flag = _FLAGS.get(field, "")
    start = f"{field}: "
    if flag and words.startswith(start):
        words = f"{flag}: {words.removeprefix(start)}"
    for name, flag in _FLAGS.items():
        if f"`{flag}`" not in words:
            words = words.replace(f"`{name}`", f"`{flag}`")
    return words
