package main

import (
	"github.com/dtm-labs/client/dtmcli"
)

func sagaScenarios(wire wire) []scenario {
	return []scenario{
		{wire.name() + "saga ok", nil, func(w *world) string { return sagaOK(w, wire) }},
		{wire.name() + "saga rollback", nil, func(w *world) string { return sagaRollback(w, wire) }},
		{wire.name() + "saga wait", nil, func(w *world) string { return sagaWait(w, wire) }},
		{wire.name() + "saga wait refused", nil, func(w *world) string { return sagaWaitRefused(w, wire) }},
		{wire.name() + "saga retry", nil, func(w *world) string { return sagaRetry(w, wire) }},
		{wire.name() + "saga concurrent", nil, func(w *world) string { return sagaConcurrent(w, wire) }},
		{wire.name() + "saga concurrent rollback", nil, func(w *world) string { return sagaConcurrentRollback(w, wire) }},
	}
}

func sagaOK(w *world, wire wire) string {
	f, gid := open(newBank(100, 0)), wire.gid(w)
	defer f.close()
	must(wire.saga(w, f, gid, moves(30)).submit())
	w.succeeds(gid)
	expect("calls", f.seen(gid), []string{"alice action", "bob action"})
	expect("accounts", f.state(), accounts{70, 30, 0})
	return "alice has 70 and bob 30"
}

func sagaRollback(w *world, wire wire) string {
	f, gid := open(newBank(100, 90)), wire.gid(w)
	defer f.close()
	must(wire.saga(w, f, gid, moves(30)).submit())
	w.fails(gid, limitReason)
	expect("calls", f.seen(gid), []string{"alice action", "bob action", "bob compensate", "alice compensate"})
	expect("accounts", f.state(), accounts{100, 90, 0})
	return "bob refused, alice has her 100 again"
}

func sagaWait(w *world, wire wire) string {
	f, gid := open(newBank(100, 0)), wire.gid(w)
	defer f.close()
	s := wire.saga(w, f, gid, moves(30))
	s.WaitResult = true
	must(s.submit())
	// Nothing is waited for here: the answer came when all was done.
	expect("status", w.query(gid).Status, dtmcli.StatusSucceed)
	expect("accounts", f.state(), accounts{70, 30, 0})
	return "the answer came when all was done"
}

func sagaWaitRefused(w *world, wire wire) string {
	f, gid := open(newBank(100, 90)), wire.gid(w)
	defer f.close()
	s := wire.saga(w, f, gid, moves(30))
	s.WaitResult = true
	refused(s.submit(), limitReason)
	w.fails(gid, limitReason)
	expect("accounts", f.state(), accounts{100, 90, 0})
	return "the answer gives bob's reason"
}

func sagaRetry(w *world, wire wire) string {
	f, gid := open(newBank(100, 0)), wire.gid(w)
	defer f.close()
	f.script(gid, "alice action", busy)
	f.script(gid, "bob action", lost)
	must(wire.saga(w, f, gid, moves(30)).submit())
	w.succeeds(gid)
	expect("calls", f.seen(gid), []string{"alice action", "alice action", "bob action", "bob action"})
	expect("accounts", f.state(), accounts{70, 30, 0})
	return "asked again after \"not finished\" and after an error"
}

// Two may begin at once, the third waits for both, and the fourth for the third.
func concurrent(w *world, f *front, gid string, wire wire, fourth int64) saga {
	s := wire.saga(w, f, gid, []change{{"alice", -10}, {"alice", -20}, {"bob", 30}, {"bob", fourth}})
	s.SetConcurrent().AddBranchOrder(2, []int{0, 1}).AddBranchOrder(3, []int{2})
	return s
}

func sagaConcurrent(w *world, wire wire) string {
	f, gid := open(newBank(100, 0)), wire.gid(w)
	defer f.close()
	must(concurrent(w, f, gid, wire, 5).submit())
	w.succeeds(gid)
	expect("calls", f.seen(gid), []string{"alice action", "alice action", "bob action", "bob action"})
	expect("accounts", f.state(), accounts{70, 35, 0})
	return "in the order that was asked for"
}

func sagaConcurrentRollback(w *world, wire wire) string {
	f, gid := open(newBank(100, 90)), wire.gid(w)
	defer f.close()
	must(concurrent(w, f, gid, wire, 5).submit())
	w.fails(gid, limitReason)
	// The fourth never began. The third is undone before those it waited for.
	wanted := []string{
		"alice action", "alice action", "bob action",
		"bob compensate", "alice compensate", "alice compensate",
	}
	expect("calls", f.seen(gid), wanted)
	expect("accounts", f.state(), accounts{100, 90, 0})
	return "undone against the order, what never began was left alone"
}
