"""Which GPU type a device is: NVML's product name and memory in, one canonical name out.

This file exists because the vendor's product names are neither stable nor unique (form factor,
marketing words, driver version), while a request names a type as BentoML, GKE or NVIDIA's GPU
feature discovery (GFD) spell it. Only the naming may enter: no NVML call, no choice of a
device, and no MIG profile, which is an attribute of a device and not a type.

A new product normally needs one line in one of the tables.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_GIB = 2**30

# Names that BentoML's gpu_type literals and GKE's accelerators already use, by (model, GB), and
# that the general rule would not give.
_ESTABLISHED: dict[tuple[str, int | None], str] = {
    ("a100", 40): "nvidia-tesla-a100",
    ("k80", None): "nvidia-tesla-k80",
    ("p100", 16): "nvidia-tesla-p100",
    ("p4", None): "nvidia-tesla-p4",
    ("t4", None): "nvidia-tesla-t4",
    ("v100", 16): "nvidia-tesla-v100",
}

# BentoML literals that are a second name of a type.
_SECOND_NAMES: dict[str, tuple[str, ...]] = {"nvidia-h100-80gb": ("nvidia-tesla-h100",)}

# Data-centre models whose size is part of the type, with their nominal sizes in GB.
_SIZES: dict[str, tuple[int, ...]] = {
    "a100": (40, 64, 80),
    "a800": (40, 80),
    "gh200": (96, 144),
    "h100": (64, 80, 94, 96),
    "h20": (96, 141),
    "h200": (141,),
    "h800": (80, 94),
    "m40": (12, 24),
    "p100": (12, 16),
    "v100": (16, 32),
}

# The size that a form factor implies: a MIG instance's name carries it where the memory of its
# parent is not at hand.
_FORM_FACTOR_SIZES: dict[tuple[str, str], int] = {
    ("h100", "nvl"): 94,
    ("h100", "pcie"): 80,
    ("h800", "pcie"): 80,
}

# Data-centre models sold in one size: a size in their name says nothing.
_ONE_SIZE = re.compile(
    r"a(?:2|10[gm]?|16|30x?|40|100x)|b[123]00|gb(?:10|200|300)|k(?:20xm|40m|80)"
    r"|l(?:2|4|20|40[gs]?)|m(?:4|6|10|60)|p(?:4|6|40)|t4g?|v100s",
)

_DESKTOP_MODEL = re.compile(
    r"geforce-(?:gt|gtx|rtx)-\d{3,4}(?:-(?:d|laptop|super|ti))*"
    r"|(?:quadro-)?rtx-(?:pro-)?a?\d{3,4}(?:-(?:ada|laptop|sff))*"
    r"|quadro-[a-z]{1,2}\d{3,4}"
    r"|t\d{3,4}"
    r"|titan-(?:rtx|v|x|xp)",
)

# Form factor, kind of memory, size and marketing. "max" and "q" are the halves of Max-Q, "3e" is
# the HBM3e of an H20-3e.
_DROPPED_WORD = re.compile(
    r"sxm\d*|pcie|nvl\d*|cnx|dgxs|fhhl|active|ac|(?:hbm)?\d+e|hbm\d+|\d+gb?"
    r"|gpu|generation|edition|server|workstation|blackwell|with|max|q|design",
)
_SIZE_WORD = re.compile(r"(\d{1,4})gb?")
_UNSAFE = re.compile(r"[^a-z0-9.]+")
_MIG_SUFFIX = re.compile(r"-mig-\d.*")
_VENDOR_WORDS = ("nvidia", "tesla")


@dataclass(frozen=True, slots=True)
class GpuType:
    """One type of GPU, and every name that a request may use for it.

    Attributes:
        name: The canonical name: BentoML's and GKE's where they have one, else
            ``nvidia-<model>``, with ``-<N>gb`` for models sold in several sizes.
        aliases: The other names, lower-case and sorted. A bare model (``a100``) is an alias of
            every size of it, so several types of one host may share an alias.
        recognized: False when the name is only a slug of an unknown product name.
    """

    name: str
    aliases: tuple[str, ...]
    recognized: bool


@lru_cache(maxsize=256)
def gpu_type_of(product_name: str, memory_total: int | None) -> GpuType:
    """Name the type of a device.

    Any text gives a type: an unknown product becomes a slug of ``[a-z0-9.-]``. A MIG instance
    has the type of its parent.

    Args:
        product_name: NVML's name of the device, or of a MIG instance
            (``NVIDIA A100-SXM4-80GB MIG 3g.40gb``). A GFD label does as well.
        memory_total: Total memory in bytes of the physical device, None where it is unknown.
            A size that the product name tells goes before it.

    Returns:
        The type. Where neither name nor memory tells the size, it is the one without a size.
    """
    label = _MIG_SUFFIX.sub("", _slug(product_name))
    words = _without_vendor(label.split("-"))
    kept = [word for word in words if not _DROPPED_WORD.fullmatch(word)]
    model = "-".join(kept or words) or "unknown"
    size = _size_of(model, words, memory_total)
    sized_model = model if size is None else f"{model}-{size}gb"
    name = _ESTABLISHED.get((model, size), f"nvidia-{sized_model}")
    aliases = {label, *_spellings(model), *_SECOND_NAMES.get(name, ())}
    aliases |= {sized_model, f"nvidia-{sized_model}"}
    return GpuType(name, tuple(sorted(aliases - {name, ""})), _is_known(model))


def matches(wanted: str, gpu_type: GpuType) -> bool:
    """Tell whether a request for ``wanted`` accepts a device of this type.

    Case does not matter, nor does a space where the name has ``-``. A bare model accepts any size.
    """
    asked = "-".join(wanted.lower().split())
    return asked == gpu_type.name or asked in gpu_type.aliases


def short_name(gpu_type_name: str) -> str:
    """Shorten a canonical name for an instance type such as ``gpu.l4.1``: ``l4``."""
    return gpu_type_name.removeprefix("nvidia-").removeprefix("tesla-")


def _slug(text: str) -> str:
    return _UNSAFE.sub("-", text.lower()).strip("-")


def _without_vendor(words: Sequence[str]) -> Sequence[str]:
    """Drop the leading vendor words: which of them a name has depends on the driver's version."""
    first = next((i for i, word in enumerate(words) if word not in _VENDOR_WORDS), len(words))
    return words[first:]


def _size_of(model: str, words: Sequence[str], memory_total: int | None) -> int | None:
    """Return the size in GB that belongs to the type, None for one size or an unknown one."""
    named = next((int(m[1]) for word in words if (m := _SIZE_WORD.fullmatch(word))), None)
    sizes = _SIZES.get(model)
    if sizes is None:
        return None if _ONE_SIZE.fullmatch(model) else named
    # Only a size the model is sold in: the 480GB in a GH200's name is its CPU's memory.
    if named in sizes:
        return named
    measured = _nearest_size(sizes, memory_total)
    implied = (_FORM_FACTOR_SIZES.get((model, word)) for word in words)
    only = sizes[0] if len(sizes) == 1 else None
    return measured or next(filter(None, implied), only)


def _nearest_size(sizes: Sequence[int], memory_total: int | None) -> int | None:
    """Return the nominal size (GB) that fits the measured memory (bytes), None if none does.

    NVML reports up to 6 % less GiB than the nominal GB (ECC, firmware), GB taken as GiB. The
    tolerance is wider, yet refuses what a MIG instance with a part of the memory would report.
    """
    gib = (memory_total or 0) / _GIB
    nearest = min(sizes, key=lambda size: abs(size - gib))
    return nearest if 0.85 * nearest <= gib <= 1.05 * nearest else None


def _spellings(model: str) -> set[str]:
    """Return the names of a model without its size, as people write them."""
    short = model.removeprefix("geforce-").removeprefix("quadro-")
    spellings = {model, f"nvidia-{model}", short, f"nvidia-{short}"}
    first, *rest = short.split("-")
    # "rtx6000" is nobody's word for an Ada or a PRO card, and would hide which one is meant.
    if first == "rtx" and not {"pro", "ada"} & set(rest):
        spellings.add(f"rtx{'-'.join(rest)}")
    return spellings


def _is_known(model: str) -> bool:
    patterns = (_ONE_SIZE, _DESKTOP_MODEL)
    return model in _SIZES or any(pattern.fullmatch(model) for pattern in patterns)
