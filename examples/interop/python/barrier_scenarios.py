"""The client's barrier in MariaDB or MySQL: repeated calls, undoing what was never done, messages asked for."""

import msg_scenarios
import saga_scenarios
import tcc_scenarios
from checks import expect
from front import LOST, Front
from ledger import Ledger, change


def barrier_saga(world):
    with Front(Ledger(world.mysql)) as front:
        gid = world.coordinator.new_gid()
        front.script(gid, "bob action", LOST)
        saga_scenarios.transfer(world, front, gid, 30).submit()
        world.coordinator.settles(gid, "succeed")
        expect("calls", front.seen(gid), ["alice action", "bob action", "bob action"])
        expect("accounts", front.book.state(), (70, 30, 0))
    return "called twice, bob has 30 once"


def barrier_saga_rollback(world):
    with Front(Ledger(world.mysql)) as front:
        front.book.set("bob", 90)
        gid = world.coordinator.new_gid()
        front.script(gid, "alice compensate", LOST)
        saga_scenarios.transfer(world, front, gid, 30).submit()
        world.coordinator.settles(gid, "failed")
        calls = ["alice action", "bob action", "bob compensate"] + ["alice compensate"] * 2
        expect("calls", front.seen(gid), calls)
        expect("accounts", front.book.state(), (100, 90, 0))
    return "what bob never took is not taken from him, alice is compensated once"


def barrier_tcc(world):
    with Front(Ledger(world.mysql)) as front:
        gid = world.coordinator.new_gid()
        expect("result", tcc_scenarios.transfer(world, front, gid, 30), gid)
        world.coordinator.settles(gid, "succeed")
        expect("accounts", front.book.state(), (70, 30, 0))
        front.book.set("bob", 90)
        gid = world.coordinator.new_gid()
        expect("result", tcc_scenarios.transfer(world, front, gid, 30), "")
        world.coordinator.settles(gid, "failed")
        expect("accounts", front.book.state(), (70, 90, 0))
    return "confirmed, then cancelled: nothing is held"


def barrier_msg(world):
    with Front(Ledger(world.mysql)) as front, front.book.cursor() as cursor:
        gid = world.coordinator.new_gid()
        transaction = msg_scenarios.message(world, front, gid, 30)
        transaction.trans_base.timeout_to_fail = 60
        transaction.do_and_submit_db(front.check_url(), cursor, send)
        world.coordinator.settles(gid, "succeed")
        expect("calls", front.seen(gid), ["bob action"])
        expect("accounts", front.book.state(), (70, 30, 0))
    return "sent and delivered"


def barrier_msg_check(world):
    """The initiator crashes behind its local transaction, and another time before it."""
    with Front(Ledger(world.mysql)) as front, front.book.cursor() as cursor:
        sent = world.coordinator.new_gid()
        crash(world, front, sent, lambda barrier: barrier.call(cursor, send))
        world.coordinator.settles(sent, "succeed")
        expect("calls", front.seen(sent), ["sender msg", "bob action"])
        expect("accounts", front.book.state(), (70, 30, 0))

        silent = world.coordinator.new_gid()
        late = crash(world, front, silent, lambda barrier: None)
        world.coordinator.settles(silent, "failed")
        expect("calls", front.seen(silent), ["sender msg"])
        try:
            late.call(cursor, send)
        except Exception as error:
            said = str(error)
        else:
            said = "it was done"
        expect("a local transaction that comes too late", said, "msg duplicate error")
        expect("accounts", front.book.state(), (70, 30, 0))
    return "told yes by the row it left, told no for good where there was none"


class Crash(BaseException):
    """Ends the initiator where it stands: the client takes care of exceptions, not of this."""


def crash(world, front, gid, local):
    """An initiator that prepares a message, does this much, and is gone. Returns the barrier it had."""
    kept = []

    def dies(barrier):
        kept.append(barrier)
        local(barrier)
        raise Crash

    try:
        msg_scenarios.message(world, front, gid, 30).do_and_submit(front.check_url(), dies)
    except Crash:
        pass
    return kept[0]


def send(cursor):
    change(cursor, "alice", "action", -30)


SCENARIOS = {
    "barrier saga": barrier_saga,
    "barrier saga rollback": barrier_saga_rollback,
    "barrier tcc": barrier_tcc,
    "barrier msg": barrier_msg,
    "barrier msg check": barrier_msg_check,
}
