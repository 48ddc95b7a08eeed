"""Messages of the API in their JSON form, as the gateway would write them, for screens."""

Fields = dict[str, object]

GIB = 1 << 30


def value(number: int) -> Fields:
    """Gives a reading."""
    return {"value": str(number)}


def unavailable(reason: str) -> Fields:
    """Gives a reading that is none."""
    return {"unavailable": reason}


def device(index: int, **changed: object) -> Fields:
    """Gives a free A100 of 80 GiB."""
    return {
        "uuid": f"GPU-{index:08d}-0000-0000-0000-000000000000",
        "index": index,
        "gpu_type": "nvidia-a100-80gb",
        "memory": {"total": value(80 * GIB), "used": value(0)},
        "allocated_bytes": "0",
        "health": "HEALTH_HEALTHY",
        "schedulable": True,
        "lease_ids": [],
    } | changed


def mig_device(gpu: int, instance: int) -> Fields:
    """Gives a MIG instance of a GPU."""
    mig: Fields = {
        "parent_index": gpu,
        "gpu_instance": instance,
        "compute_instance": 0,
        "profile": "1g.10gb",
    }
    uuid = f"MIG-{gpu:04d}{instance:04d}-0000-0000-0000-000000000000"
    return device(instance, uuid=uuid, mig=mig, memory={"total": value(10 * GIB)})


def process(gpu: int, pid: int, **changed: object) -> Fields:
    """Gives a process of alice's lease with 4 GiB and a little more."""
    return {
        "device_uuid": f"GPU-{gpu:08d}-0000-0000-0000-000000000000",
        "gpu_index": gpu,
        "process": {"pid": pid, "start_ticks": "1"},
        "type": "C",
        "name": {"value": "/usr/bin/python3"},
        "memory": value(4 * GIB + 1023 * 1024),
        "kind": "PROCESS_KIND_LEASE",
        "lease_id": "lease-aaaaaaaaaa",
        "uid": 1000,
        "user": "alice",
    } | changed


def lease(name: str, **changed: object) -> Fields:
    """Gives a lease of alice's, reserved for five minutes at twelve."""
    return {
        "id": name,
        "state": "LEASE_STATE_RESERVED",
        "holder": {"uid": 1000, "user": "alice"},
        "devices": [{"uuid": "GPU-1", "index": 1, "memory_limit_bytes": str(8 * GIB)}],
        "used_memory": value(0),
        "peak_memory": value(0),
        "enforcement": {"level": "ENFORCEMENT_LEVEL_ADVISORY"},
        "created_at": "2026-11-22T12:00:00Z",
        "attach_deadline": "2026-11-22T12:05:00Z",
    } | changed


def waiting(place: int, name: str, **changed: object) -> Fields:
    """Gives a request of alice's for two devices, which came five minutes before `status`."""
    return {
        "position": place,
        "request": {"request_id": name},
        "uid": 1000,
        "user": "alice",
        "priority": "normal",
        "wanted": "2 devices",
        "enqueued_at": "2026-11-22T11:56:00Z",
        "wait_deadline": "2026-11-22T12:05:30Z",
        "waits_for": "the end of lease-1 of bob",
    } | changed


def status(**changed: object) -> Fields:
    """Gives the status of a host with two free devices and no process."""
    return {
        "node": "host-1",
        "version": "0.1.0",
        "driver": {"driver_version": {"value": "570.124.06"}, "cuda_version": {"value": "12.8"}},
        "simulated": False,
        "enforcement": {"level": "ENFORCEMENT_LEVEL_ADVISORY", "sentence": "nobody holds masks"},
        "at": "2026-11-22T12:01:00.5Z",
        "sample_age": "0.400s",
        "warnings": [],
        "devices": [device(0), device(1)],
        "leases": [],
        "waiting": [],
        "processes": [],
        "unreadable": [],
    } | changed
