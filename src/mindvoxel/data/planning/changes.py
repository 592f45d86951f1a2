"""Changes to a plan, with all that must follow from them (what change_bs.py does in the UNet++ flow, and more)."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from mindvoxel.data.plan import Configuration, Plan, plan_from_json, plan_to_json
from mindvoxel.data.plan_check import LARGEST, SPACING_MM
from mindvoxel.data.planning import SYSTEMS, nvidia, sizing, topology
from mindvoxel.data.planning.nnunet import BASE_FILTERS
from mindvoxel.data.planning.topology import Derive, Topology, filters
from mindvoxel.errors import InputError

CHANGEABLE = ("patch_size", "batch_size", "spacing_mm")


def change_plan(plan: Plan, configuration: str, **changes) -> Plan:
    """The plan with values of one configuration changed: patch_size, batch_size, spacing_mm.

    A new patch or spacing derives strides, kernels, filters and dummy_2d anew by the planner's rule, and the median
    shape. Raises InputError for a configuration that the plan lacks, a value that cannot be, and a patch that its own
    network does not divide, with the nearest one that it does; ValueError for any other name.
    """
    unknown = changes.keys() - set(CHANGEABLE)
    if unknown:
        raise ValueError(f"only {', '.join(CHANGEABLE)} can be changed, got {', '.join(sorted(unknown))}")
    if configuration not in plan.configurations:
        known = ", ".join(plan.configurations)
        raise InputError(f"--configuration {configuration} is not in the plan; choose one of {known}")
    old = plan.configurations[configuration]
    new = replace(old, **changes)
    _check_values(old, new, configuration)
    if {"patch_size", "spacing_mm"} & changes.keys():
        new = _rederived(plan.planner, old, new, configuration)
    changed = replace(plan, configurations=plan.configurations | {configuration: new})
    return plan_from_json(plan_to_json(changed), "plan")


def _check_values(old: Configuration, new: Configuration, name: str) -> None:
    """Before a network is derived from them; plan_check looks at the rest, and at what was derived."""
    for key, (low, high) in {"patch_size": (1, LARGEST), "spacing_mm": SPACING_MM}.items():
        value = getattr(new, key)
        if value is None:
            continue
        if getattr(old, key) is None:
            raise InputError(f"--{key} cannot be set: {name} of this planner does not resample")
        if len(value) != old.dim or not all(low <= n <= high for n in value):
            shown = ",".join(map(str, value))
            raise InputError(f"--{key} must be {old.dim} values from {low} to {high} for {name}, got {shown}")


def _rederived(planner: str, old: Configuration, new: Configuration, name: str) -> Configuration:
    derive, caps = _rule(planner)
    spacing_mm = new.spacing_mm or (1.0,) * new.dim  # what is not resampled is as fine in all directions
    net = derive(spacing_mm, new.patch_size)
    if net.patch_size != tuple(new.patch_size):
        raise _no_multiple(derive, spacing_mm, new.patch_size, net, name)
    median = old.median_shape
    if new.spacing_mm != old.spacing_mm:
        scale = (1.0,) * (3 - old.dim) + tuple(a / b for a, b in zip(old.spacing_mm, new.spacing_mm, strict=True))
        median = tuple(max(1, round(n * factor)) for n, factor in zip(median, scale, strict=True))
    return replace(
        new,
        median_shape=median,
        strides=net.strides,
        kernels=net.kernels,
        filters=filters(len(net.strides), BASE_FILTERS, caps[new.dim]),
        dummy_2d=planner != nvidia.NAME and new.dim == 3 and sizing.is_shallow(net.patch_size),
    )


def _rule(planner: str) -> tuple[Derive, dict[int, int]]:
    if planner == nvidia.NAME:
        return topology.nvidia, nvidia.MAX_FILTERS
    return SYSTEMS[planner].derive, SYSTEMS[planner].max_filters


def _no_multiple(
    derive: Derive, spacing_mm: Sequence[float], patch_size: Sequence[int], net: Topology, name: str
) -> InputError:
    """The refusal of a patch, with the nearest one that its own network divides."""
    sides = [{n // d * d, -(-n // d) * d} - {0} for n, d in zip(patch_size, net.divisor, strict=True)]
    fitting = [patch for patch in product(*map(sorted, sides)) if derive(spacing_mm, patch).patch_size == patch]
    nearest = min(fitting, key=lambda patch: sum(abs(a - b) / b for a, b in zip(patch, patch_size, strict=True)))
    got, want, divisor = (",".join(map(str, values)) for values in (patch_size, nearest, net.divisor))
    return InputError(
        f"--patch_size {got} is no multiple of {divisor}, what the network of {name} divides it by; the nearest that "
        f"fits is {want}"
    )
