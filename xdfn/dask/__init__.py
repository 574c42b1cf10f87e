"""A network is trained on rows that lie on the workers of a Dask cluster, and answers there. See docs/distributed.md.

blocks      which worker holds which rows
rabit       xgboost's collective joins workers that nothing else joins
training    `fit`
answers     `predict`, `predict_proba`
"""

try:
    import dask.array as _dask
    import distributed.client as _distributed
except ImportError as error:
    raise ModuleNotFoundError(
        'xdfn.dask needs Dask: pip install "dask[array]" distributed xgboost-cpu, or '
        f'pip install "xdfn[dask]" ({error})'
    ) from error

from xdfn.dask.answers import predict, predict_proba
from xdfn.dask.training import fit

del _dask, _distributed

__all__ = ["fit", "predict", "predict_proba"]
