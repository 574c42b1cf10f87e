"""scikit-learn's own checks of an estimator, with an empty list of expected failures."""

import sklearn
from sklearn.utils.estimator_checks import estimator_checks_generator

VERSION = tuple(map(int, sklearn.__version__.split(".")[:2]))


def scikit_learns_checks(estimator):
    """All of them. Before 1.9 those on other array libraries want `classes_` there too, and an older array API."""
    checks = [check for _, check in estimator_checks_generator(estimator, mark="skip")]
    return checks if VERSION >= (1, 9) else [check for check in checks if "array_api" not in check_name(check)]


def check_name(check):
    """With the library that it is about, if it is about one."""
    more = getattr(check, "keywords", {})
    return "-".join([getattr(check, "func", check).__name__, *(str(more[k]) for k in more if k == "array_namespace")])
