"""Try, confirm, cancel: the initiator makes the tries, the coordinator the rest."""

from bank import Bank
from checks import expect
from dtmcli import tcc
from front import Front


def transfer(world, front, gid, amount):
    """Moves an amount from Alice to Bob; returns the gid, or nothing when it was given up."""

    def tries(transaction):
        for account, change in (("alice", -amount), ("bob", amount)):
            urls = [front.url(account, op) for op in ("try", "confirm", "cancel")]
            transaction.call_branch({"amount": change}, *urls)

    return tcc.tcc_global_transaction(world.coordinator.url, gid, tries)


def tcc_ok(world):
    with Front(Bank()) as front:
        gid = world.coordinator.new_gid()
        expect("result", transfer(world, front, gid, 30), gid)
        world.coordinator.settles(gid, "succeed")
        expect("calls", front.seen(gid), ["alice try", "bob try", "bob confirm", "alice confirm"])
        expect("accounts", front.book.state(), (70, 30, 0))
    return "alice has 70 and bob 30"


def tcc_rollback(world):
    with Front(Bank()) as front:
        front.book.balances["bob"] = 90
        gid = world.coordinator.new_gid()
        expect("result", transfer(world, front, gid, 30), "")
        world.coordinator.settles(gid, "failed")
        expect("calls", front.seen(gid), ["alice try", "bob try", "bob cancel", "alice cancel"])
        expect("accounts", front.book.state(), (100, 90, 0))
    return "bob refused, nothing is held of alice's 100"


SCENARIOS = {"tcc ok": tcc_ok, "tcc rollback": tcc_rollback}
