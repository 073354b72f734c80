package main

// tccWire is a wire over which the client has TCC.
type tccWire interface {
	wire
	tcc(w *world, f *front, gid string, amount int64) error
	nestedTcc(w *world, f *front, gid string, amount int64) error
}

func tccScenarios(wire tccWire) []scenario {
	return []scenario{
		{wire.name() + "tcc ok", nil, func(w *world) string { return tccOK(w, wire) }},
		{wire.name() + "tcc rollback", nil, func(w *world) string { return tccRollback(w, wire) }},
		{wire.name() + "tcc nested", nil, func(w *world) string { return tccNested(w, wire) }},
		{wire.name() + "tcc nested rollback", nil, func(w *world) string { return tccNestedRollback(w, wire) }},
	}
}

func tccOK(w *world, wire tccWire) string {
	f, gid := open(newBank(100, 0)), wire.gid(w)
	defer f.close()
	must(wire.tcc(w, f, gid, 30))
	w.succeeds(gid)
	expect("calls", f.seen(gid), []string{"alice try", "bob try", "bob confirm", "alice confirm"})
	expect("accounts", f.state(), accounts{70, 30, 0})
	return "alice has 70 and bob 30"
}

func tccRollback(w *world, wire tccWire) string {
	f, gid := open(newBank(100, 90)), wire.gid(w)
	defer f.close()
	refused(wire.tcc(w, f, gid, 30), limitReason)
	w.fails(gid, limitReason)
	expect("calls", f.seen(gid), []string{"alice try", "bob try", "bob cancel", "alice cancel"})
	expect("accounts", f.state(), accounts{100, 90, 0})
	return "bob refused, nothing is held of alice's 100"
}

func tccNested(w *world, wire tccWire) string {
	f, gid := open(newBank(100, 0)), wire.gid(w)
	defer f.close()
	must(wire.nestedTcc(w, f, gid, 30))
	w.succeeds(gid)
	expect("calls", f.seen(gid), []string{"alice try", "bob try", "bob confirm", "alice confirm"})
	expect("accounts", f.state(), accounts{70, 30, 0})
	return "alice's try made bob's"
}

func tccNestedRollback(w *world, wire tccWire) string {
	f, gid := open(newBank(100, 90)), wire.gid(w)
	defer f.close()
	refused(wire.nestedTcc(w, f, gid, 30), limitReason)
	w.fails(gid, limitReason)
	expect("calls", f.seen(gid), []string{"alice try", "bob try", "bob cancel", "alice cancel"})
	expect("accounts", f.state(), accounts{100, 90, 0})
	return "bob refused inside alice's try, both are cancelled"
}
