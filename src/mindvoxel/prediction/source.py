"""A trained network that is to be exported, from its checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from easydict import EasyDict
from mindspore import nn

from mindvoxel import config
from mindvoxel.data.plan import Plan, plan_from_json
from mindvoxel.data.stored_dataset import read_dataset
from mindvoxel.nn.exporting import exportable
from mindvoxel.prediction.networks import network_of, window_of
from mindvoxel.prediction.trained import Trained
from mindvoxel.volume import Vector


@dataclass(frozen=True)
class Source:
    """A trained network that is to be exported.

    network: in the form for export, in evaluation mode.  plan, configuration: None of a model that knows no plan.
    groups: of label values, of each of which only the largest component stays; of a plan's network.
    spacing_mm: (z, y, x) of images that know none, as the training data had them.
    """

    ckpt_path: Path
    prune: int
    network: nn.Cell
    recipe: EasyDict
    meta: dict
    plan: Plan | None
    configuration: str | None
    groups: tuple[tuple[int, ...], ...]
    spacing_mm: Vector | None
    device: dict

    @property
    def window(self) -> tuple[int, ...]:
        """(C, [D,] H, W)"""
        return window_of(self.recipe, self.meta, self.ckpt_path)

    @property
    def classifies(self) -> bool:
        """Whether it tells the class of a photo; else it segments scans."""
        return config.kind_of(self.recipe.model) == "photos"

    @property
    def is_second_stage(self) -> bool:
        """Whether its input holds the prediction of another network."""
        return self.plan is not None and self.plan.configurations[self.configuration].previous_stage is not None

    def trained(self) -> Trained:
        """As a Predictor takes it."""
        name = self.configuration or self.recipe.model
        paths = {name: (self.ckpt_path,)}
        return Trained(self.recipe.model, self.plan, paths, self.groups, self.spacing_mm)


def load_source(ckpt_path: str | Path, model: str, prune: int, device_target: str, device_id: int) -> Source:
    """The network of a checkpoint without postprocessing; InputError where there is none."""
    path = Path(ckpt_path)
    with exportable():
        network, recipe, meta = network_of(path, model, prune)
    planned = config.kind_of(model) == "planned"
    plan = plan_from_json(meta["plan"], str(path)) if planned else None
    beside = path.with_name("dataset.json")
    spacing_mm = read_dataset(beside).spacing_mm if planned and beside.is_file() else None
    device = {"device_target": device_target, "device_id": device_id}
    return Source(path, prune, network, recipe, meta, plan, meta.get("configuration"), (), spacing_mm, device)
