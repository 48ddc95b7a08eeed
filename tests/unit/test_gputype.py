"""The names of GPU types, against a golden table of product names."""

import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpusched.core.gputype import GpuType, gpu_type_of, matches, short_name

GIB = 2**30
GOLDEN_FILE = Path(__file__).with_name("gputype.golden.toml")

# bentoml 1.4.39, GpuLiteralType, the NVIDIA ones.
BENTOML_LITERALS = (
    "nvidia-a100-80gb",
    "nvidia-a10g",
    "nvidia-b200",
    "nvidia-gb200",
    "nvidia-h100-80gb",
    "nvidia-h200-141gb",
    "nvidia-l4",
    "nvidia-rtx-pro-6000",
    "nvidia-tesla-a100",
    "nvidia-tesla-h100",
    "nvidia-tesla-k80",
    "nvidia-tesla-p100",
    "nvidia-tesla-p4",
    "nvidia-tesla-t4",
    "nvidia-tesla-v100",
)


@dataclass(frozen=True, slots=True)
class Row:
    product_name: str
    memory_total: int
    name: str
    gfd_label: str
    aliases: tuple[str, ...]

    @property
    def gpu_type(self) -> GpuType:
        return gpu_type_of(self.product_name, self.memory_total)


def read_golden() -> list[Row]:
    table = tomllib.loads(GOLDEN_FILE.read_text(encoding="utf-8"))
    return [Row(**{**row, "aliases": tuple(row["aliases"])}) for row in table["gpu"]]


GOLDEN = read_golden()
golden = pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row.gfd_label)
any_memory = st.none() | st.integers(min_value=-1, max_value=2**40)
TELLING_WORDS = ["tesla-", "480GB", "0GB", "Max-Q", "MIG", "1g.10gb", ".", "-", "é"]
GOLDEN_WORDS = [word for row in GOLDEN for word in row.product_name.split()]
any_words = st.lists(st.sampled_from(TELLING_WORDS + GOLDEN_WORDS), max_size=8).map(" ".join)
any_name = st.text(max_size=96) | any_words


def test_the_golden_file_has_its_40_products() -> None:
    """The golden table is whole: a lost row would be a lost promise."""
    assert len(GOLDEN) == 40
    assert len({row.product_name for row in GOLDEN}) == 40
    assert len({row.name for row in GOLDEN}) == 36


@golden
def test_a_product_has_its_canonical_name_and_aliases(row: Row) -> None:
    """A known product has exactly the name and the aliases that the golden table says."""
    assert row.gpu_type == GpuType(row.name, row.aliases, recognized=True)


@golden
def test_a_request_may_use_any_known_spelling(row: Row) -> None:
    """A request may spell a type as product name, GFD label, canonical name or alias."""
    for wanted in (row.product_name, row.gfd_label, row.name, *row.aliases):
        assert matches(wanted, row.gpu_type)


@golden
def test_a_gfd_label_names_the_same_type(row: Row) -> None:
    """A GFD label leads to the same type as the product name that it was made from."""
    assert gpu_type_of(row.gfd_label, row.memory_total) == row.gpu_type


@golden
def test_the_case_of_a_product_name_does_not_matter(row: Row) -> None:
    """A driver that spells a product name in capitals does not make another type of it."""
    assert gpu_type_of(row.product_name.upper(), row.memory_total) == row.gpu_type


@golden
def test_a_mig_instance_has_the_type_of_its_parent(row: Row) -> None:
    """A MIG instance has its parent's type; the profile is no part of the name."""
    assert gpu_type_of(f"{row.product_name} MIG 1g.10gb", row.memory_total) == row.gpu_type
    assert gpu_type_of(f"{row.gfd_label}-MIG-1c.2g.20gb", row.memory_total) == row.gpu_type


@pytest.mark.parametrize("literal", BENTOML_LITERALS)
def test_every_bentoml_literal_reaches_one_type(literal: str) -> None:
    """An unmodified bento's gpu_type matches exactly one canonical type."""
    assert len({row.name for row in GOLDEN if matches(literal, row.gpu_type)}) == 1


def test_only_bare_models_with_several_sizes_are_ambiguous() -> None:
    """Nothing but a100, h100 and v100, with or without nvidia-, means more than one type."""
    meanings = defaultdict(set)
    for row in GOLDEN:
        for wanted in (row.gpu_type.name, *row.gpu_type.aliases):
            meanings[wanted].add(row.name)
    assert {wanted for wanted, names in meanings.items() if len(names) > 1} == {
        "a100",
        "h100",
        "v100",
        "nvidia-a100",
        "nvidia-h100",
        "nvidia-v100",
    }


@pytest.mark.parametrize(
    ("product_name", "memory_total", "name"),
    [
        ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", None, "nvidia-a100-80gb"),
        ("NVIDIA H100 PCIe MIG 1g.10gb", None, "nvidia-h100-80gb"),
        ("NVIDIA H100 NVL MIG 1g.12gb", None, "nvidia-h100-94gb"),
        ("NVIDIA H800 PCIe", None, "nvidia-h800-80gb"),
        ("NVIDIA H200 MIG 3g.71gb", None, "nvidia-h200-141gb"),
        ("NVIDIA GH200 480GB", None, "nvidia-gh200"),
        ("NVIDIA H20", None, "nvidia-h20"),
        ("NVIDIA H20", 0, "nvidia-h20"),
        ("Tesla V100-FHHL-16GB", None, "nvidia-tesla-v100"),
        ("Tesla T4", None, "nvidia-tesla-t4"),
    ],
)
def test_the_name_does_where_the_memory_is_unknown(
    product_name: str, memory_total: int | None, name: str
) -> None:
    """Without the memory, the name tells the size, or the type stays without one."""
    gpu_type = gpu_type_of(product_name, memory_total)
    assert (gpu_type.name, gpu_type.recognized) == (name, True)


def test_a_type_without_a_size_answers_to_no_size() -> None:
    """Where the size is unknown, a request for a size is not met, one for the model is."""
    gpu_type = gpu_type_of("NVIDIA GH200 480GB", None)
    assert gpu_type.aliases == ("gh200", "nvidia-gh200-480gb")
    assert matches("GH200", gpu_type)
    assert not matches("gh200-96gb", gpu_type)


@pytest.mark.parametrize(
    ("product_name", "gib", "name"),
    [
        ("NVIDIA H100 PCIe", 10, "nvidia-h100-80gb"),
        ("NVIDIA H100 PCIe", 93.6, "nvidia-h100-94gb"),
        ("NVIDIA H20", 48, "nvidia-h20"),
        ("NVIDIA H20", 81.5, "nvidia-h20"),
        ("NVIDIA H20", 81.7, "nvidia-h20-96gb"),
        ("NVIDIA H20", 100.7, "nvidia-h20-96gb"),
        ("NVIDIA H20", 100.9, "nvidia-h20"),
        ("NVIDIA H20-3e", 140, "nvidia-h20-141gb"),
        ("NVIDIA GH200 120GB", 95.6, "nvidia-gh200-96gb"),
        ("NVIDIA GH200 144G HBM3e", 95.6, "nvidia-gh200-144gb"),
        ("NVIDIA H100", 93.6, "nvidia-h100-94gb"),
        ("NVIDIA H100 80GB HBM3", 40, "nvidia-h100-80gb"),
        ("Tesla P100-PCIE-12GB", 11.9, "nvidia-p100-12gb"),
        ("NVIDIA A800 40GB Active", 40, "nvidia-a800-40gb"),
    ],
)
def test_the_memory_decides_only_what_the_name_leaves_open(
    product_name: str, gib: float, name: str
) -> None:
    """The measured memory picks a size the model is sold in, within a tolerance, or none."""
    assert gpu_type_of(product_name, round(gib * GIB)).name == name


@pytest.mark.parametrize(
    ("product_name", "name"),
    [
        ("A100-SXM4-40GB", "nvidia-tesla-a100"),
        ("Tesla V100S-PCIE-32GB", "nvidia-v100s"),
        ("Tesla V100-DGXS-32GB", "nvidia-v100-32gb"),
        ("NVIDIA GeForce GTX 1060 6GB", "nvidia-geforce-gtx-1060-6gb"),
        ("NVIDIA GeForce RTX 4080 SUPER", "nvidia-geforce-rtx-4080-super"),
        ("NVIDIA GeForce RTX 2080 with Max-Q Design", "nvidia-geforce-rtx-2080"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "nvidia-rtx-pro-6000"),
        ("NVIDIA RTX 4000 SFF Ada Generation", "nvidia-rtx-4000-sff-ada"),
        ("NVIDIA T400 4GB", "nvidia-t400-4gb"),
        ("Quadro P2200", "nvidia-quadro-p2200"),
        ("NVIDIA TITAN V", "nvidia-titan-v"),
        ("NVIDIA H100 CNX", "nvidia-h100"),
    ],
)
def test_form_factor_and_marketing_are_no_part_of_a_type(product_name: str, name: str) -> None:
    """Only the model is the type, and a size where the vendor sells several under one name."""
    gpu_type = gpu_type_of(product_name, None)
    assert (gpu_type.name, gpu_type.recognized) == (name, True)


@pytest.mark.parametrize(
    ("product_name", "expected"),
    [
        (
            "NVIDIA Graphics Device",
            GpuType("nvidia-graphics-device", ("graphics-device",), recognized=False),
        ),
        (
            "GRID A100D_4C (β)",
            GpuType("nvidia-grid-a100d-4c", ("grid-a100d-4c",), recognized=False),
        ),
        (
            "NVIDIA Z9 32GB",
            GpuType("nvidia-z9-32gb", ("nvidia-z9", "z9", "z9-32gb"), recognized=False),
        ),
        ("NVIDIA PCIe", GpuType("nvidia-pcie", ("pcie",), recognized=False)),
        ("RTX", GpuType("nvidia-rtx", ("rtx",), recognized=False)),
        ("NVIDIA", GpuType("nvidia-unknown", ("nvidia", "unknown"), recognized=False)),
        ("", GpuType("nvidia-unknown", ("unknown",), recognized=False)),
    ],
)
def test_an_unknown_product_gets_a_slug(product_name: str, expected: GpuType) -> None:
    """A product that no table knows is named by its slug and says that it is unknown."""
    assert gpu_type_of(product_name, 32 * GIB) == expected


def test_another_type_does_not_match() -> None:
    """A request is met by its own type only, not by a longer or shorter name."""
    l40 = gpu_type_of("NVIDIA L40", None)
    assert [w for w in ("l4", "l40s", "nvidia-", "", "l40-48gb", "l40!") if matches(w, l40)] == []


def test_a_size_in_the_request_is_met_by_that_size_only() -> None:
    """The bare model takes either A100, a sized name one of them; nvidia-tesla-a100 is 40 GB."""
    small = gpu_type_of("NVIDIA A100-SXM4-40GB", None)
    large = gpu_type_of("NVIDIA A100-SXM4-80GB", None)
    wishes = ("A100", "a100-40gb", "nvidia-tesla-a100", "a100-80gb")
    assert [w for w in wishes if matches(w, small)] == list(wishes[:3])
    assert [w for w in wishes if matches(w, large)] == ["A100", "a100-80gb"]


def test_an_ada_card_does_not_answer_to_the_turing_name() -> None:
    """RTX 6000 Ada and Quadro RTX 6000 are two types with no name in common."""
    ada = gpu_type_of("NVIDIA RTX 6000 Ada Generation", None)
    turing = gpu_type_of("Quadro RTX 6000", None)
    assert {ada.name, *ada.aliases}.isdisjoint({turing.name, *turing.aliases})
    assert matches("rtx6000", turing)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("nvidia-l4", "l4"),
        ("nvidia-tesla-t4", "t4"),
        ("nvidia-tesla-a100", "a100"),
        ("nvidia-a100-80gb", "a100-80gb"),
        ("nvidia-geforce-rtx-4090", "geforce-rtx-4090"),
    ],
)
def test_a_short_name_leaves_out_the_vendor(name: str, short: str) -> None:
    """An instance type names the GPU type without vendor words."""
    assert short_name(name) == short


@given(any_name, any_memory)
@example("", None)
@example("NVIDIA 480GB", 0)
def test_any_text_gives_a_clean_type(product_name: str, memory_total: int | None) -> None:
    """Whatever NVML says, the type and its aliases are sanitised, sorted and not empty."""
    gpu_type = gpu_type_of(product_name, memory_total)
    names = (gpu_type.name, short_name(gpu_type.name), *gpu_type.aliases)
    assert all(re.fullmatch(r"[a-z0-9.-]+", name) for name in names)
    assert gpu_type.name.startswith("nvidia-")
    assert gpu_type.aliases == tuple(sorted(set(gpu_type.aliases) - {gpu_type.name}))


@given(any_name, any_memory)
def test_a_type_matches_its_own_names(product_name: str, memory_total: int | None) -> None:
    """The canonical name and every alias match their type, in any case, padded or not."""
    gpu_type = gpu_type_of(product_name, memory_total)
    for wanted in (gpu_type.name, *gpu_type.aliases):
        assert matches(wanted, gpu_type)
        assert matches(f" {wanted.upper()} ", gpu_type)


@given(st.sampled_from(GOLDEN), st.data())
def test_matching_ignores_case(row: Row, data: st.DataObject) -> None:
    """A wish that matches, or does not, answers the same in every mixture of cases."""
    wanted = data.draw(st.sampled_from([name for r in GOLDEN for name in (r.name, *r.aliases)]))
    mixed = "".join(data.draw(st.sampled_from((c, c.upper()))) for c in wanted)
    assert matches(mixed, row.gpu_type) == matches(wanted, row.gpu_type)
