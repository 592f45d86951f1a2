"""Images and labels are paired by name, never by position."""

import pytest

from mindvoxel.datasets.promise12 import list_cases
from mindvoxel.errors import InputError


def layout(root, images, labels):
    """Empty files: pairing looks at names alone."""
    for folder, names in (("img", images), ("gt", labels)):
        (root / folder).mkdir()
        for name in names:
            (root / folder / name).touch()
    return root


def pairs(cases) -> list[tuple]:
    return [(c.case, c.image.name, c.label and c.label.name) for c in cases]


def test_by_name_and_never_by_position(tmp_path):
    """By position Case02 would get the label of Case01, and by a sort of the names Case10 that of Case1."""
    root = layout(
        tmp_path,
        ["Case02.mhd", "Case10.mhd", "Case1.mhd"],
        ["Case01_segmentation.mhd", "Case02_segmentation.mhd", "Case10_segmentation.mhd", "Case1_segmentation.mhd"],
    )
    assert pairs(list_cases(root)) == [
        ("Case02", "Case02.mhd", "Case02_segmentation.mhd"),
        ("Case1", "Case1.mhd", "Case1_segmentation.mhd"),
        ("Case10", "Case10.mhd", "Case10_segmentation.mhd"),
    ]


def test_mixed_types_and_bystanders(tmp_path):
    root = layout(
        tmp_path,
        ["A.nii.gz", "B.mhd", "B.raw", "C.nrrd", "D.mha", "E.nii", ".A.mhd", "notes.txt", "._B.mhd"],
        [f"{c}_segmentation" + s for c, s in zip("ABCDE", [".nrrd", ".nii.gz", ".mhd", ".nii", ".mha"], strict=True)],
    )
    assert pairs(list_cases(root)) == [
        ("A", "A.nii.gz", "A_segmentation.nrrd"),
        ("B", "B.mhd", "B_segmentation.nii.gz"),
        ("C", "C.nrrd", "C_segmentation.mhd"),
        ("D", "D.mha", "D_segmentation.nii"),
        ("E", "E.nii", "E_segmentation.mha"),
    ]


def test_names_choose_and_order_the_cases(tmp_path):
    root = layout(tmp_path, ["A.mhd", "B.nii.gz", "C.mhd"], [f"{c}_segmentation.mhd" for c in "ABC"])
    assert [c.case for c in list_cases(root, ["C.mhd", "A"])] == ["C", "A"]
    assert [c.case for c in list_cases(root, ["B.mhd"])] == ["B"]  # the published CSV says .mhd whatever the type


def test_a_dot_in_a_name(tmp_path):
    root = layout(tmp_path, ["v1.2.nii.gz"], ["v1.2_segmentation.nii.gz"])
    assert pairs(list_cases(root, ["v1.2.nii.gz"])) == [("v1.2", "v1.2.nii.gz", "v1.2_segmentation.nii.gz")]


def test_an_image_without_a_label_is_refused_unless_none_is_asked_for(tmp_path):
    root = layout(tmp_path, ["A.nii.gz", "B.mhd"], ["B_segmentation.mhd"])
    with pytest.raises(InputError, match=r"A\.nii\.gz: has no label; .*gt.A_segmentation\.nii\.gz is needed"):
        list_cases(root)
    assert pairs(list_cases(root, labels=False)) == [("A", "A.nii.gz", None), ("B", "B.mhd", None)]
    assert len(list_cases(root, ["B.mhd"])) == 1  # a case that is not asked for may lack its label


def test_without_labels_no_gt_folder_is_needed(tmp_path):
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "A.mhd").touch()
    assert len(list_cases(tmp_path, labels=False)) == 1


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["A.mhd", "A.nii.gz"], ["A_segmentation.mhd"]),
        (["A.mhd"], ["A_segmentation.mhd", "A_segmentation.nrrd"]),
    ],
)
def test_two_files_of_one_case_are_refused(tmp_path, images, labels):
    with pytest.raises(InputError, match=r"A.*: A.*\.mhd is of the same case; keep one of the two"):
        list_cases(layout(tmp_path, images, labels))


@pytest.mark.parametrize("missing", ["img", "gt"])
def test_a_missing_folder_is_refused(tmp_path, missing):
    layout(tmp_path, [], [])
    (tmp_path / missing).rmdir()
    with pytest.raises(InputError, match=rf"{missing}: no such folder; the PROMISE12 layout needs img/ and gt/"):
        list_cases(tmp_path)


def test_a_missing_data_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        list_cases(tmp_path / "none")


def test_an_empty_image_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"img: no image in it; files of type \.mhd"):
        list_cases(layout(tmp_path, [], []))


def test_a_name_that_is_not_there_is_refused(tmp_path):
    root = layout(tmp_path, ["A.mhd"], ["A_segmentation.mhd"])
    with pytest.raises(InputError, match=r"img: no image of case B; add it, or take the name out of the split file"):
        list_cases(root, ["A.mhd", "B.mhd"])


def test_a_case_named_twice_is_refused(tmp_path):
    root = layout(tmp_path, ["A.mhd"], ["A_segmentation.mhd"])
    with pytest.raises(InputError, match=r"case A is named more than once"):
        list_cases(root, ["A.mhd", "A"])
