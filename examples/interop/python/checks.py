"""What every scenario needs: expectations, waiting with a deadline, and the coordinator as an observer sees it."""

import time

import requests
from dtmcli import utils

WITHIN_SECONDS = 60
PAUSE_SECONDS = 0.02


class Wrong(Exception):
    """Something is not as it should be; the text says what."""


def expect(what, got, wanted):
    if got != wanted:
        raise Wrong(f"{what}: got {got!r}, expected {wanted!r}")


def eventually(what, probe, wanted):
    """Asks again and again until the answer is the wanted one, for at most a minute."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while (got := probe()) != wanted:
        if time.monotonic() > deadline:
            raise Wrong(f"{what}: still {got!r} after {WITHIN_SECONDS} s, expected {wanted!r}")
        time.sleep(PAUSE_SECONDS)


class Coordinator:
    """The coordinator's URL, as the client wants it (it ends in `/api/dtmsvr`), and questions only tests ask."""

    def __init__(self, url):
        self.url = url

    def new_gid(self):
        return utils.gen_gid(self.url)

    def transaction(self, gid):
        answer = requests.get(self.url + "/query", params={"gid": gid}, timeout=30)
        expect("status of /query", answer.status_code, 200)
        return answer.json()["transaction"]

    def settles(self, gid, status):
        """Waits for the last word on a transaction."""
        self.becomes(gid, lambda status: status in ("succeed", "failed"))
        expect(f"status of {gid}", self.transaction(gid)["status"], status)

    def becomes(self, gid, wanted):
        eventually(f"the status of {gid}", lambda: bool(wanted(self.transaction(gid)["status"])), True)
