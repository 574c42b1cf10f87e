"""scikit-learn's two estimators, on any array library: the same arguments, defaults, attributes and behaviour.

classifier, regressor   `MLPClassifier`, `MLPRegressor`
estimator    `fit` and `partial_fit` of both; stochastic: epoch after epoch; answers: what there is after a fit
arguments    what the arguments may be
inputs       X and y of any kind as arrays
network      the DFN underneath, and how it is trained on rows in a given order
progress     when training stops, and at which rate it goes on
rows         rows in scikit-learn's order, dense or sparse
step         penalties as scikit-learn has them
watching     scikit-learn's own callbacks
lbfgs        SciPy's L-BFGS-B on the vector of all parameters
"""

try:
    import sklearn  # noqa: F401  before all else, for an error that says what to do
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    advice = 'pip install "scikit-learn>=1.6", or pip install "xdfn[sklearn]"'
    raise ModuleNotFoundError(f"xdfn.sklearn needs scikit-learn: {advice}", name="sklearn") from None

from xdfn.sklearn.classifier import MLPClassifier
from xdfn.sklearn.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
