"""The published Python client of dtm against Trine. `--list` names the scenarios; without names all are run."""

import argparse
import os
import sys
import traceback
from dataclasses import dataclass
from typing import Optional

import barrier_scenarios
import msg_scenarios
import saga_scenarios
import tcc_scenarios
from checks import Coordinator

SCENARIOS = saga_scenarios.SCENARIOS | tcc_scenarios.SCENARIOS | msg_scenarios.SCENARIOS
WITH_DATABASE = barrier_scenarios.SCENARIOS


@dataclass
class World:
    """What a scenario finds: a coordinator, and a database if there is one."""

    coordinator: Coordinator
    mysql: Optional[str]


def main():
    arguments = parse()
    every = SCENARIOS | WITH_DATABASE
    if arguments.list:
        print("\n".join(every))
        return 0
    names = arguments.scenario or [name for name in every if arguments.mysql or name not in WITH_DATABASE]
    if not arguments.scenario and len(names) < len(every):
        print("no --mysql: the barrier scenarios are left out", file=sys.stderr)
    # The client prints as it works, and what is printed here is verdicts.
    verdicts, sys.stdout = sys.stdout, sys.stderr
    world = World(Coordinator(arguments.http), arguments.mysql)
    for name in names:
        try:
            print(f"{name}: {every[name](world)}", file=verdicts, flush=True)
        except Exception as error:
            traceback.print_exc()
            print(f"{name}: WRONG: {error}", file=verdicts, flush=True)
            return 1
    return 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    coordinator = os.environ.get("TRINE_DTM_HTTP", "http://127.0.0.1:36789/api/dtmsvr")
    parser.add_argument("--http", default=coordinator, help="the coordinator's URL; $TRINE_DTM_HTTP")
    mysql = os.environ.get("INTEROP_MYSQL")
    parser.add_argument("--mysql", default=mysql, help="mysql://user:password@host:port/database; $INTEROP_MYSQL")
    parser.add_argument("--list", action="store_true", help="name the scenarios and do nothing")
    parser.add_argument("scenario", nargs="*", help="a name from the list, in quotes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
