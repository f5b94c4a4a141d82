"""What makes labelled features unfit for an injection."""

from typing import Any

from headgraft.service.injections.feature_checks import attention_problems, feature_problems
from headgraft.service.schemas.requests import InjectionRequest
from headgraft.workers.jobs.spec import StoredFeatures

NEEDED = ["features"]


def asked(**fields: Any) -> InjectionRequest:
    return InjectionRequest.model_validate({"add": ["new"], "method": "painter", **fields})


def features(**fields: Any) -> StoredFeatures:
    return StoredFeatures.model_validate(
        {
            "path": "x",
            "sha256": "0",
            "bytes": 1,
            "count": 9,
            "feature_size": 16,
            "dtype": "F32",
            "label_dtype": "I64",
            "label_min": 0,
            "label_max": 4,
            "classes": 3,
            **fields,
        }
    )


def test_a_method_that_needs_features_should_be_refused_without_them() -> None:
    (found,) = feature_problems(asked(), None, NEEDED, 16, 5)

    assert found.pointer == "/features_id"
    assert "method 'painter' needs labelled features" in found.detail
    assert feature_problems(asked(), None, [], 16, 5) == []


def test_a_method_that_needs_them_should_have_them_without_calibration_too() -> None:
    plain = asked(calibration={"enabled": False})

    assert feature_problems(plain, features(), NEEDED, 16, 5) == []
    assert len(feature_problems(plain, features(), [], 16, 5)) == 1


def test_a_method_that_needs_labels_should_be_refused_pictures_without() -> None:
    needs = [*NEEDED, "regions"]
    some = features(unlabelled=4, region_shape=[7, 7])
    none = features(unlabelled=9, label_min=None, label_max=None, classes=0, region_shape=[7, 7])

    (found,) = feature_problems(asked(), some, needs, 16, 5)
    assert "'painter' needs a label for every picture; 4 of the 9 pictures have" in found.detail
    (found,) = feature_problems(asked(), none, needs, 16, 5)
    assert "needs a label for every picture; none of the 9 pictures has one" in found.detail


def test_pictures_without_a_label_should_need_calibration_to_be_of_use() -> None:
    none = features(unlabelled=9, label_min=None, label_max=None, classes=0)
    plain = asked(calibration={"enabled": False})

    assert feature_problems(asked(), none, [], 16, 5) == []
    assert feature_problems(asked(), none, [], 16, 5, ["features"]) == []
    (found,) = feature_problems(plain, none, [], 16, 5)
    assert "calibration is off, and method 'painter' takes none" in found.detail
    (found,) = feature_problems(plain, none, [], 16, 5, ["features"])
    assert "'painter' takes labelled ones; none of the 9 pictures has one" in found.detail
    assert feature_problems(plain, features(unlabelled=4), [], 16, 5, ["features"]) == []


def test_too_few_to_tell_anything_should_be_refused_whatever_is_known_of_them() -> None:
    one = features(count=1, unlabelled=1, label_min=None, label_max=None, classes=0)
    of_a_class = features(label_max=0, classes=1)

    (found,) = feature_problems(asked(), one, [], 16, 5)
    assert "there is 1 picture; 2 are the fewest" in found.detail
    (found,) = feature_problems(asked(), of_a_class, [], 16, 5)
    assert "all labelled features are of class 0; 2 classes are the fewest" in found.detail
    # Those without a label serve where the others do not.
    assert feature_problems(asked(), features(classes=1, unlabelled=5), [], 16, 5) == []


def test_what_is_not_known_of_a_torch_file_should_be_left_to_the_worker() -> None:
    assert feature_problems(asked(), features(), [], None, 5) == []
    assert len(feature_problems(asked(), features(), [], 15, 5)) == 1


def test_every_defect_should_be_told_at_once() -> None:
    found = feature_problems(asked(), features(classes=1, label_max=5), [], 15, 5)

    assert [one.pointer for one in found] == ["/features_id"] * 3


def test_regions_should_go_with_a_method_that_looks_at_them_and_no_other() -> None:
    grid, needs = features(region_shape=[3, 2]), ["features", "regions"]

    assert feature_problems(asked(), grid, needs, 5, 5) == []
    (pooled,) = feature_problems(asked(), features(), needs, 16, 5)
    assert "looks at regions" in pooled.detail
    (regions,) = feature_problems(asked(), grid, [], 16, 5)
    assert "these have regions: (9, 16, 3, 2)" in regions.detail


def test_only_a_method_that_looks_at_regions_should_be_asked_where() -> None:
    (found,) = attention_problems(asked(attention_of=[1]), ["features"])

    assert found.pointer == "/attention_of"
    assert attention_problems(asked(attention_of=[1]), ["regions"]) == []
    assert attention_problems(asked(), []) == []


def test_a_method_that_takes_features_may_get_them_with_calibration_off() -> None:
    plain = asked(calibration={"enabled": False})

    assert len(feature_problems(plain, features(), [], 16, 5)) == 1
    assert feature_problems(plain, features(), [], 16, 5, ["features"]) == []
    assert feature_problems(asked(), None, [], 16, 5, ["features"]) == []
