"""What the page on photographs says is what happens: its commands and its Python, in their order."""

import re
import subprocess

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from mindvoxel.data.photos import read_photo

from ..conftest import ROOT
from ..photos import a_photo, make_photos, write_photo
from ..seeded_runs import photos_run
from ..test_docs import run, text

WNIDS = ("n01440764", "n01443537", "n01484850")


@pytest.fixture
def folder(tmp_path):
    """What ImageNet is downloaded as, of three classes: an archive a class, a flat val, the development kit."""
    made = make_photos(tmp_path / "made", WNIDS, count=2)
    Image.fromarray(a_photo(0, (40, 50), np.random.default_rng(0))).convert("CMYK").save(
        made / "train" / WNIDS[0] / "cmyk.JPEG"
    )
    (tmp_path / "ILSVRC2012_img_train").mkdir()
    for name in WNIDS:
        words = ["tar", "-cf", tmp_path / "ILSVRC2012_img_train" / f"{name}.tar", "-C", made / "train" / name, "."]
        subprocess.run(words, check=True)
    numbers = [3, 1, 1, 2]  # of the classes, which the kit numbers in another order than their names
    for i, number in enumerate(numbers, 1):
        photo = a_photo(number, (40, 50), np.random.default_rng(i))
        write_photo(tmp_path / "imagenet" / "val" / f"ILSVRC2012_val_{i:08d}.JPEG", photo)
    kit = tmp_path / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{number}\n" for number in numbers))
    synsets = np.zeros((3, 1), [("ILSVRC2012_ID", object), ("WNID", object)])
    for i, name in enumerate(WNIDS):
        synsets[i, 0] = (np.uint16(3 - i), name)
    savemat(kit / "meta.mat", {"synsets": synsets})
    return tmp_path


def test_the_page_sorts_imagenet_mends_it_and_predicts(cpu, folder):
    photos_run(folder / "results" / "resnet50", WNIDS)
    (folder / "predict.py").symlink_to(ROOT / "predict.py")
    (folder / "photos").symlink_to(folder / "imagenet" / "val")
    found = re.findall(r"^```(bash|python)\n(.*?)^```", text("docs/en/photos.md"), re.MULTILINE | re.DOTALL)
    assert [language for language, _ in found] == ["bash", "python", "python", "bash"]
    said = []
    for number, (language, block) in enumerate(found):
        if language == "python":
            (folder / f"snippet{number}.py").write_text(block)
            block = f"python snippet{number}.py"
        said.append(run(block, folder))
    val = folder / "imagenet" / "val"
    of_photo = {path.name[-8:-5]: path.parent.name for path in val.glob("*/*.JPEG")}
    assert of_photo == {"001": WNIDS[0], "002": WNIDS[2], "003": WNIDS[2], "004": WNIDS[1]}
    mended = folder / "imagenet" / "train" / WNIDS[0] / "cmyk.JPEG"
    assert said[2].strip() == f"imagenet/train/{WNIDS[0]}/cmyk.JPEG: CMYK; convert it to RGB or grey"
    assert read_photo(mended).shape == (40, 50, 3)
    table = pd.read_csv(folder / "results" / "classes" / "predictions.csv")
    assert table.photo.nunique() == 4 and set(table["class"]) == set(WNIDS)
