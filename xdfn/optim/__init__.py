"""How training moves the parameters: the rules, and the learning rates that they follow.

schedules   the learning rate as a function of time
plateau     the schedule that depends on the results of training
stateful    a rule as an object that is called and keeps its memory by name
base        what a rule is, and the registry of the rules
sgd         SGD, SGDW, Momentum
adaptive    AdaGrad, RMSProp, AdaDelta
adam        Adam, AdamW, Nadam, RAdam
"""

from xdfn.optim import adam, adaptive, base, plateau, schedules, sgd
from xdfn.optim.adam import *
from xdfn.optim.adaptive import *
from xdfn.optim.base import *
from xdfn.optim.plateau import *
from xdfn.optim.schedules import *
from xdfn.optim.sgd import *

__all__ = [
    *adam.__all__,
    *adaptive.__all__,
    *base.__all__,
    *plateau.__all__,
    *schedules.__all__,
    *sgd.__all__,
]
