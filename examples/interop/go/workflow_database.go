package main

import (
	"database/sql"

	"github.com/dtm-labs/client/dtmcli"
	"github.com/dtm-labs/client/workflow"
)

// workflowDatabase takes from Alice in a local transaction behind the barrier, and gives to Bob in an XA transaction
// that is decided with the workflow.
func workflowDatabase(w *world, wire workflowWire, name, kind string) string {
	l := openLedger(w.databases[kind], 100, 50)
	f := wire.open(w, l)
	defer f.close()
	must(workflow.Register(name, func(wf *workflow.Workflow, _ []byte) error {
		change := func(barrier *dtmcli.BranchBarrier, op string) error {
			barrier.DBType = l.kind
			return barrier.CallWithDB(l.db, func(tx *sql.Tx) error { return l.change(tx, "alice", op, -30) })
		}
		_, err := wf.NewBranch().OnRollback(func(barrier *dtmcli.BranchBarrier) error {
			return change(barrier, "compensate")
		}).Do(func(barrier *dtmcli.BranchBarrier) ([]byte, error) {
			return nil, change(barrier, "action")
		})
		if err != nil {
			return err
		}
		_, err = wf.NewBranch().DoXa(l.conf, func(db *sql.DB) ([]byte, error) {
			return nil, l.change(db, "bob", "action", 30)
		})
		return err
	}, patient))

	gid := wire.gid(w)
	must(workflow.Execute(name, gid, nil))
	w.succeeds(gid)
	expect("accounts", l.state(), accounts{70, 80, 0})

	gid = wire.gid(w)
	failure(workflow.Execute(name, gid, nil), limitReason)
	w.fails(gid, limitReason)
	expect("accounts", l.state(), accounts{70, 80, 0})
	return "local and XA steps committed, and another time rolled back"
}
