"""Sagas: steps with an action and its undoing."""

from bank import LIMIT_REASON, Bank
from checks import expect
from dtmcli import saga, utils
from front import BUSY, LOST, Front


def transfer(world, front, gid, amount):
    """A saga that moves an amount from Alice to Bob."""
    transaction = saga.Saga(world.coordinator.url, gid)
    for account, change in (("alice", -amount), ("bob", amount)):
        transaction.add({"amount": change}, front.url(account, "action"), front.url(account, "compensate"))
    transaction.trans_base.request_timeout = 30
    transaction.trans_base.retry_interval = 1
    return transaction


def saga_ok(world):
    with Front(Bank()) as front:
        gid = world.coordinator.new_gid()
        transfer(world, front, gid, 30).submit()
        world.coordinator.settles(gid, "succeed")
        expect("calls", front.seen(gid), ["alice action", "bob action"])
        expect("accounts", front.book.state(), (70, 30, 0))
    return "alice has 70 and bob 30"


def saga_rollback(world):
    with Front(Bank()) as front:
        front.book.balances["bob"] = 90
        gid = world.coordinator.new_gid()
        transfer(world, front, gid, 30).submit()
        world.coordinator.settles(gid, "failed")
        undone = ["alice action", "bob action", "bob compensate", "alice compensate"]
        expect("calls", front.seen(gid), undone)
        expect("accounts", front.book.state(), (100, 90, 0))
    return "bob refused, alice has her 100 again"


def saga_wait(world):
    with Front(Bank()) as front:
        gid = world.coordinator.new_gid()
        transaction = transfer(world, front, gid, 30)
        transaction.trans_base.wait_result = True
        transaction.submit()
        # Nothing is waited for here: the answer came when all was done.
        expect("status", world.coordinator.transaction(gid)["status"], "succeed")
        expect("accounts", front.book.state(), (70, 30, 0))
    return "the answer came when all was done"


def saga_wait_refused(world):
    with Front(Bank()) as front:
        front.book.balances["bob"] = 90
        gid = world.coordinator.new_gid()
        transaction = transfer(world, front, gid, 30)
        transaction.trans_base.wait_result = True
        try:
            transaction.submit()
        except utils.DTMFailureError:
            refused = True
        else:
            refused = False
        expect("submit says no", refused, True)
        world.coordinator.settles(gid, "failed")
        # This client keeps the reason to itself; the coordinator tells whoever asks.
        reason = world.coordinator.transaction(gid)["rollback_reason"]
        expect(f"the reason {reason!r} is bob's", LIMIT_REASON in reason, True)
        expect("accounts", front.book.state(), (100, 90, 0))
    return f"the reason is known: {LIMIT_REASON}"


def saga_retry(world):
    with Front(Bank()) as front:
        gid = world.coordinator.new_gid()
        front.script(gid, "alice action", BUSY)
        front.script(gid, "bob action", LOST)
        transfer(world, front, gid, 30).submit()
        world.coordinator.settles(gid, "succeed")
        expect("calls", front.seen(gid), ["alice action"] * 2 + ["bob action"] * 2)
        expect("accounts", front.book.state(), (70, 30, 0))
    return "asked again after a 425 and after a 500"


SCENARIOS = {
    "saga ok": saga_ok,
    "saga rollback": saga_rollback,
    "saga wait": saga_wait,
    "saga wait refused": saga_wait_refused,
    "saga retry": saga_retry,
}
