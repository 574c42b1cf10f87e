"""How long a step takes, beside what a user would write or pick instead.

    ci/bench                    all cases, the table and the picture in benchmarks/results
    ci/bench --quick            the check that CI runs: against the hand-written loop alone
    ci/bench --case notebook    one case; --rounds 9 for more rounds
    ci/bench --against DIR      against the xdfn of another checkout instead; --quick for the three small cases alone

All contestants of a case train the same network from the same weights on the same batches in float32 (the notebook's
way in float64), and are checked to reach the same loss. They take turns in one process; a figure is the median over
the rounds of the ratio within a round, which a machine whose speed wanders disturbs least.
"""

import argparse
import json
import sys
from pathlib import Path

import against
import costs
import ensembles
import report
from cases import CASES
from contestants import CONTESTANTS
from timing import prediction, ratio, training

RESULTS = Path(__file__).parent / "results"
SMALL = CASES[:3]


def quick(rounds=7):
    """For CI: the cases in which xdfn takes twice as long as the hand-written loop; two and a half times for the tiny
    one, which is nothing but overhead and stands at one and a half.
    """
    slow = []
    for case in SMALL:
        times, _ = training(case, ["hand-written NumPy", "xdfn, NumPy"], rounds)
        middle, low, high = ratio(times, "xdfn, NumPy", "hand-written NumPy")
        print(f"{case.name}: {middle:.2f} x the hand-written loop ({low:.2f}-{high:.2f})")
        slow += [case.name] if middle > (2.5 if case.name == "tiny" else 2) else []
    return slow


def measure(only, names, rounds):
    """Times and steps by case."""
    results = {}
    for case in CASES:
        if only in (None, case.name):
            # the notebook's own network is sigmoid alone, and slow
            of_case = [n for n in names if n != "notebook's way" or case.name == "notebook"]
            results[case.name] = training(case, of_case, rounds)
            print(case.name, "done", flush=True, file=sys.stderr)
    if only in (None, "prediction"):
        results["prediction"] = prediction(rounds)
    return results


def write(text, results):
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cpu.md").write_text(text + "\n")
    raw = {case: {"steps": steps, "seconds": times} for case, (times, steps) in results.items()}
    (RESULTS / "cpu.json").write_text(json.dumps(raw, indent=1) + "\n")
    report.picture(results, RESULTS / "cpu.png")


def checkout(folder):
    """The root of a checkout of xdfn."""
    root = Path(folder).resolve()
    if not (root / "xdfn" / "__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"there is no xdfn/ in {root}")
    return root


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=[*(case.name for case in CASES), "prediction"])
    parser.add_argument("--contestants", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, help=f"9; with --against {against.ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="three small cases, against the hand-written loop")
    parser.add_argument("--against", type=checkout, metavar="DIR", help="the root of another checkout, to compare with")
    return parser.parse_args()


def main():
    args = parse()
    names = [n for n in CONTESTANTS if args.contestants is None or n.replace(", ", "_") in args.contestants.split(",")]
    if args.against:
        cases = [(case.name, case) for case in (SMALL if args.quick else CASES)]
        cases += [] if args.quick else [("prediction", None)]
        ours = [n for n in names if n.startswith("xdfn")] if args.contestants else ["xdfn, NumPy"]
        chosen = [(name, case) for name, case in cases if args.case in (None, name)]
        against.compare(args.against, chosen, ours, args.rounds)
        return
    if args.quick:
        if slow := quick() + ensembles.quick():
            raise SystemExit(f"too slow beside a hand-written loop, or beside single networks: {slow}")
        return
    rounds = 9 if args.rounds is None else args.rounds
    results = measure(args.case, names, rounds)
    text = "\n\n".join(
        [
            f"Machine: {report.machine()}. Rounds: {rounds}.",
            report.short(results),
            report.table(results),
            report.verdicts(results),
        ]
    )
    if args.case is None:
        text += "\n\n" + "\n".join([costs.memory(), costs.growth(), costs.start_up(), costs.to_98()])
        write(text, results)
    print(text)


if __name__ == "__main__":
    main()
