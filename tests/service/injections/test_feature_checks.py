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
