"""A version of xdfn that takes its turns when told: `worker.py CONTESTANT CASE`, with that version on PYTHONPATH.

It says where its xdfn comes from. Then each line of the input is a number of epochs, or of predictions of all rows, and
is answered by the seconds that they took and the loss of the last.
"""

import json
import sys
import time

from cases import CASES, prediction_case
from contestants import build

import xdfn


def work(contestant, name):
    """A function that does so much work and returns a loss, if there is one."""
    if name == "prediction":
        model, X = prediction_case()

        def predict(times):
            for _ in range(times):
                model.predict(X)

        return predict
    case = next(case for case in CASES if case.name == name)
    run = build(contestant, case, None, *case.data())
    return run and (lambda epochs: run(range(epochs)))


def main():
    run = work(*sys.argv[1:])
    print(json.dumps(xdfn.__file__ if run else None), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        loss = run(int(line))
        print(json.dumps((time.perf_counter() - start, loss)), flush=True)


if __name__ == "__main__":
    main()
