"""Alice's and Bob's accounts in memory. A call that is repeated has no second effect."""

import threading

from front import Refused

LIMIT = 100
LIMIT_REASON = "bob takes at most 100"


class Bank:
    """Alice begins with 100 and Bob with nothing; nobody owes, and nobody has more than the limit."""

    def __init__(self):
        self.lock = threading.Lock()
        self.balances = {"alice": 100, "bob": 0}
        self.held = {"alice": 0, "bob": 0}
        self.done, self.sent = set(), set()

    def apply(self, call):
        """Does what the op of a call says, once."""
        with self.lock:
            if (call.gid, call.branch_id, call.op) in self.done:
                return
            getattr(self, "_" + call.op)(call)
            self.done.add((call.gid, call.branch_id, call.op))

    def send(self, gid, amount):
        """The local transaction of a message: Alice's money is on its way."""
        with self.lock:
            self.balances["alice"] -= amount
            self.sent.add(gid)

    def check(self, call):
        """Whether that happened."""
        with self.lock:
            if call.gid not in self.sent:
                raise Refused("nothing was sent")

    def state(self):
        """What Alice has, what Bob has, and what is held back."""
        with self.lock:
            return self.balances["alice"], self.balances["bob"], sum(self.held.values())

    def _action(self, call):
        after = self.balances[call.account] + call.amount
        if not 0 <= after <= LIMIT:
            raise Refused(LIMIT_REASON)
        self.balances[call.account] = after

    def _compensate(self, call):
        if (call.gid, call.branch_id, "action") in self.done:
            self.balances[call.account] -= call.amount

    def _try(self, call):
        if not 0 <= self.balances[call.account] + call.amount <= LIMIT:
            raise Refused(LIMIT_REASON)
        taken = min(call.amount, 0)
        self.balances[call.account] += taken
        self.held[call.account] -= taken

    def _confirm(self, call):
        self.held[call.account] += min(call.amount, 0)
        self.balances[call.account] += max(call.amount, 0)

    def _cancel(self, call):
        if (call.gid, call.branch_id, "try") in self.done:
            taken = min(call.amount, 0)
            self.held[call.account] += taken
            self.balances[call.account] -= taken
