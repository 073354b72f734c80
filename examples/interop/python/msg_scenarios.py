"""Two-phase messages: delivered if, and only if, the local transaction was committed."""

from bank import Bank
from checks import expect
from dtmcli import msg
from front import Front, Refused


def message(world, front, gid, amount):
    """Tells Bob that Alice sent him something."""
    transaction = msg.Msg(world.coordinator.url, gid)
    transaction.add({"amount": amount}, front.url("bob", "action"))
    # The coordinator asks back after a second of silence.
    transaction.trans_base.timeout_to_fail = 1
    transaction.trans_base.retry_interval = 1
    transaction.trans_base.request_timeout = 30
    return transaction


def msg_ok(world):
    with Front(Bank()) as front:
        gid = world.coordinator.new_gid()
        transaction = message(world, front, gid, 30)
        transaction.trans_base.timeout_to_fail = 60
        transaction.prepare(front.check_url())
        expect("status", world.coordinator.transaction(gid)["status"], "prepared")
        front.book.send(gid, 30)
        transaction.submit()
        world.coordinator.settles(gid, "succeed")
        expect("calls", front.seen(gid), ["bob action"])
        expect("accounts", front.book.state(), (70, 30, 0))
    return "prepared, sent, delivered"


def msg_abort(world):
    def refuses(_barrier):
        raise Refused("alice changed her mind")

    with Front(Bank()) as front:
        gid = world.coordinator.new_gid()
        transaction = message(world, front, gid, 30)
        transaction.trans_base.timeout_to_fail = 60
        try:
            transaction.do_and_submit(front.check_url(), refuses)
        except Refused:
            pass
        world.coordinator.settles(gid, "failed")
        expect("calls", front.seen(gid), [])
        expect("accounts", front.book.state(), (100, 0, 0))
    return "the local transaction refused, nothing was delivered"


def msg_check_yes(world):
    with Front(Bank()) as front:
        gid = world.coordinator.new_gid()
        message(world, front, gid, 30).prepare(front.check_url())
        front.book.send(gid, 30)
        # Here the initiator crashes, so nobody submits.
        world.coordinator.settles(gid, "succeed")
        expect("calls", front.seen(gid), ["sender msg", "bob action"])
        expect("accounts", front.book.state(), (70, 30, 0))
    return "asked back, was told yes, delivered"


def msg_check_no(world):
    with Front(Bank()) as front:
        gid = world.coordinator.new_gid()
        message(world, front, gid, 30).prepare(front.check_url())
        # Here the initiator crashes before it has done anything.
        world.coordinator.settles(gid, "failed")
        expect("calls", front.seen(gid), ["sender msg"])
        expect("accounts", front.book.state(), (100, 0, 0))
    return "asked back, was told no, delivered nothing"


SCENARIOS = {
    "msg ok": msg_ok,
    "msg abort": msg_abort,
    "msg check yes": msg_check_yes,
    "msg check no": msg_check_no,
}
