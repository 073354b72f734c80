package main

import (
	"database/sql"
	"errors"

	"github.com/dtm-labs/client/dtmcli"
)

// The client's barrier, in a database of each kind: repeated calls, undoing what was never done, messages that are
// asked for.
func barrierScenarios(kind string) []scenario {
	var all []scenario
	add := func(name string, run func(w *world, kind string) string) {
		all = append(all, scenario{name + " " + kind, []string{kind}, func(w *world) string { return run(w, kind) }})
	}
	add("barrier saga", barrierSaga)
	add("barrier saga rollback", barrierSagaRollback)
	add("barrier tcc", barrierTcc)
	add("barrier msg", barrierMsg)
	add("barrier msg check", barrierMsgCheck)
	return all
}

func barrierSaga(w *world, kind string) string {
	for _, wire := range []wire{overHTTP{}, overGRPC{}} {
		f, gid := open(openLedger(w.databases[kind], 100, 0)), wire.gid(w)
		f.script(gid, "bob action", lost)
		must(wire.saga(w, f, gid, moves(30)).submit())
		w.succeeds(gid)
		expect("calls", f.seen(gid), []string{"alice action", "bob action", "bob action"})
		expect("accounts", f.state(), accounts{70, 30, 0})
		f.close()
	}
	return "called twice, bob has 30 once"
}

func barrierSagaRollback(w *world, kind string) string {
	for _, wire := range []wire{overHTTP{}, overGRPC{}} {
		f, gid := open(openLedger(w.databases[kind], 100, 90)), wire.gid(w)
		f.script(gid, "alice compensate", lost)
		must(wire.saga(w, f, gid, moves(30)).submit())
		w.fails(gid, limitReason)
		calls := []string{"alice action", "bob action", "bob compensate", "alice compensate", "alice compensate"}
		expect("calls", f.seen(gid), calls)
		expect("accounts", f.state(), accounts{100, 90, 0})
		f.close()
	}
	return "what bob never took is not taken from him, alice is compensated once"
}

func barrierTcc(w *world, kind string) string {
	for _, wire := range []tccWire{overHTTP{}, overGRPC{}} {
		f, gid := open(openLedger(w.databases[kind], 100, 0)), wire.gid(w)
		must(wire.tcc(w, f, gid, 30))
		w.succeeds(gid)
		expect("accounts", f.state(), accounts{70, 30, 0})
		f.close()

		f, gid = open(openLedger(w.databases[kind], 100, 90)), wire.gid(w)
		refused(wire.tcc(w, f, gid, 30), limitReason)
		w.fails(gid, limitReason)
		expect("accounts", f.state(), accounts{100, 90, 0})
		f.close()
	}
	return "confirmed, and another time cancelled: nothing is held"
}

// send is the local transaction of a message, behind the message's barrier.
func (l *ledger) send(barrier *dtmcli.BranchBarrier, amount int64) error {
	barrier.DBType = l.kind
	return barrier.CallWithDB(l.db, func(tx *sql.Tx) error { return l.change(tx, "alice", "action", -amount) })
}

func barrierMsg(w *world, kind string) string {
	for _, wire := range []wire{overHTTP{}, overGRPC{}} {
		l, gid := openLedger(w.databases[kind], 100, 0), wire.gid(w)
		f := open(l)
		m := wire.message(w, f, gid, 30)
		m.TimeoutToFail = never
		must(m.doAndSubmit(wire.checkURL(f), func(b *dtmcli.BranchBarrier) error { return l.send(b, 30) }))
		w.succeeds(gid)
		expect("calls", f.seen(gid), []string{"bob action"})
		expect("accounts", f.state(), accounts{70, 30, 0})
		f.close()
	}
	return "sent and delivered"
}

// The initiator crashes behind its local transaction, and another time before it.
func barrierMsgCheck(w *world, kind string) string {
	for _, wire := range []wire{overHTTP{}, overGRPC{}} {
		l := openLedger(w.databases[kind], 100, 0)
		f := open(l)
		sent := wire.gid(w)
		crashed(w, f, wire, sent, func(b *dtmcli.BranchBarrier) { must(l.send(b, 30)) })
		w.succeeds(sent)
		expect("calls", f.seen(sent), []string{"sender msg", "bob action"})
		expect("accounts", f.state(), accounts{70, 30, 0})

		silent := wire.gid(w)
		late := crashed(w, f, wire, silent, func(*dtmcli.BranchBarrier) {})
		w.settles(silent, dtmcli.StatusFailed)
		expect("calls", f.seen(silent), []string{"sender msg"})
		err := l.send(late, 30)
		expect("that a local transaction is too late", errors.Is(err, dtmcli.ErrDuplicated), true)
		expect("accounts", f.state(), accounts{70, 30, 0})
		f.close()
	}
	return "told yes by the row it left, told no for good where there was none"
}

// crashed is an initiator that prepares a message, does this much, and is gone. Returns the barrier it had.
func crashed(w *world, f *front, wire wire, gid string, local func(*dtmcli.BranchBarrier)) *dtmcli.BranchBarrier {
	m := wire.message(w, f, gid, 30)
	m.TimeoutToFail = soon
	must(m.prepare(wire.checkURL(f)))
	barrier, err := dtmcli.BarrierFrom("msg", gid, "00", "msg")
	must(err)
	local(barrier)
	return barrier
}
