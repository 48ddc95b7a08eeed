"""What a reload of the configuration tells."""

from gpusched.config.changed import changed
from gpusched.config.read import parse

OTHER = """
[sampling]
deadline = "6s"
[leases]
keepalive = "1m"
grace = "10s"
[strays]
policy = "evict"
spare_uids = []
[strays.devices]
"GPU-1" = "report"
"GPU-2" = "avoid"
[health]
ignore_xids = [13, 31]
[enforcement]
guard = "on"
[prices]
"gpu.l4.1" = "1 €"
"""


def test_what_a_reload_changes() -> None:
    """Each option that is different is named by its key with its value, as the file would have
    it, and with what takes a restart; the others are not, nor what is said as it was anyway.
    """
    assert changed(parse(""), parse("[strays]\nspare_uids = [0]")) == {}
    found = changed(parse(""), parse(OTHER))
    assert found == {
        "sampling.deadline": "6s (after a restart)",
        "leases.keepalive": "1m",
        "strays.policy": "evict",
        "strays.spare_uids": "none",
        "strays.devices": "GPU-1: report, GPU-2: avoid",
        "health.ignore_xids": "13, 31",
        "enforcement.guard": "on (after a restart)",
        "prices": "gpu.l4.1: 1 € (after a restart)",
    }
    assert changed(parse(OTHER), parse("")) == {
        "sampling.deadline": "5s (after a restart)",
        "leases.keepalive": "unset",
        "strays.policy": "avoid",
        "strays.spare_uids": "0",
        "strays.devices": "none",
        "health.ignore_xids": "none",
        "enforcement.guard": "off (after a restart)",
        "prices": "none (after a restart)",
    }


def test_what_a_reload_changes_of_quotas_pools_and_classes() -> None:
    """Quotas, pools and priority classes are told whole, in the words of the file."""
    text = """
[access]
quota_exempt = "root"
[[quotas]]
user = "*"
devices = 2
[pools.training]
devices = ["GPU-1", "0"]
users = [7]
[priorities.batch]
value = -5
preemptible = true
"""
    usual = "high: 10, for administrators; normal: 0; low: -10, preemptible"
    assert changed(parse(""), parse(text)) == {
        "access.quota_exempt": "root",
        "quotas": "each user: devices 2",
        "pools": "default: all others; training: GPU-1 0 for uid 7",
        "priorities": f"{usual}; batch: -5, preemptible",
    }
    assert changed(parse(text), parse("")) == {
        "access.quota_exempt": "nobody",
        "quotas": "none",
        "pools": "default: all others",
        "priorities": usual,
    }
    assert changed(parse(text), parse(text)) == {}
