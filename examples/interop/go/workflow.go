package main

import (
	"encoding/json"
	"net/url"

	"github.com/dtm-labs/client/dtmcli"
	"github.com/dtm-labs/client/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// workflowWire is what workflows use to talk to the coordinator, and to call branches so that the outcome is recorded.
type workflowWire struct {
	wire
	// init tells the client's engine where the coordinator is, and tells the coordinator where executors are.
	init func(w *world, f *front)
	// call calls a branch as a step of a workflow.
	call func(wf *workflow.Workflow, f *front, account, op string, amount int64) error
}

// The client's engine has one of these at a time, so that no two scenarios can run at once.
var workflowWires = []workflowWire{
	{overHTTP{}, initHTTP, callHTTP},
	{overGRPC{}, initGRPC, callGRPC},
}

func initHTTP(w *world, f *front) {
	workflow.InitHTTP(w.http, "http://"+f.httpAddr+"/workflow")
}

func callHTTP(wf *workflow.Workflow, f *front, account, op string, amount int64) error {
	_, err := wf.NewRequest().SetBody(transfer{amount}).Post(f.url(account, op))
	return err
}

func initGRPC(w *world, f *front) {
	workflow.InitGrpc(w.grpc, f.grpcAddr, f.rpc)
}

func callGRPC(wf *workflow.Workflow, f *front, account, op string, amount int64) error {
	insecure := grpc.WithTransportCredentials(insecure.NewCredentials())
	connection, err := grpc.Dial(f.grpcAddr, insecure, grpc.WithUnaryInterceptor(workflow.Interceptor))
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	method := "/bank." + account + "/" + op
	return connection.Invoke(wf.Context, method, wrapperspb.Int64(amount), &emptypb.Empty{})
}

// open serves a book, and executes the workflows that the coordinator calls back for.
func (wire workflowWire) open(w *world, b book) *front {
	f := open(b, func(f *front) { wire.init(w, f) })
	f.route("/workflow", func(query url.Values, body []byte) error { return workflow.ExecuteByQS(query, body) })
	return f
}

func workflowScenarios() []scenario {
	var all []scenario
	for _, wire := range workflowWires {
		wire := wire
		add := func(name string, run func(w *world, wire workflowWire, name string) string) {
			name = wire.name() + name
			all = append(all, scenario{name, nil, func(w *world) string { return run(w, wire, name) }})
		}
		add("workflow ok", workflowOK)
		add("workflow rollback", workflowRollback)
		add("workflow tcc", workflowTcc)
		add("workflow resume", workflowResume)
		add("workflow resume rollback", workflowResumeRollback)
		for _, kind := range []string{"mysql", "postgres"} {
			kind := kind
			name := wire.name() + "workflow database " + kind
			all = append(all, scenario{name, []string{kind}, func(w *world) string {
				return workflowDatabase(w, wire, name, kind)
			}})
		}
	}
	return all
}

// sagaWorkflow moves an amount from Alice to Bob; each step says how it is undone. `before` may have other ideas.
func sagaWorkflow(wire workflowWire, f *front, before func(account string)) workflow.WfFunc2 {
	return func(wf *workflow.Workflow, data []byte) ([]byte, error) {
		var t transfer
		if err := json.Unmarshal(data, &t); err != nil {
			return nil, err
		}
		for _, c := range moves(t.Amount) {
			c := c
			wf.NewBranch().OnRollback(func(*dtmcli.BranchBarrier) error {
				return wire.call(wf, f, c.account, "compensate", c.amount)
			})
			before(c.account)
			if err := wire.call(wf, f, c.account, "action", c.amount); err != nil {
				return nil, err
			}
		}
		return []byte("moved"), nil
	}
}

func thirty() []byte { return []byte(`{"amount":30}`) }

// patient is for workflows that nobody has to be called back for.
func patient(wf *workflow.Workflow) {
	wf.RetryInterval = never
	wf.RequestTimeout = requestTimeout
}

func workflowOK(w *world, wire workflowWire, name string) string {
	f, gid := wire.open(w, newBank(100, 0)), wire.gid(w)
	defer f.close()
	must(workflow.Register2(name, sagaWorkflow(wire, f, func(string) {}), patient))
	// The second time nothing is done, and the result is the one of the first.
	for i := 0; i < 2; i++ {
		result, err := workflow.Execute2(name, gid, thirty())
		must(err)
		expect("result", string(result), "moved")
	}
	w.succeeds(gid)
	expect("calls", f.seen(gid), []string{"alice action", "bob action"})
	expect("accounts", f.state(), accounts{70, 30, 0})
	return "done once, its result told twice"
}

func workflowRollback(w *world, wire workflowWire, name string) string {
	f, gid := wire.open(w, newBank(100, 90)), wire.gid(w)
	defer f.close()
	must(workflow.Register2(name, sagaWorkflow(wire, f, func(string) {}), patient))
	for i := 0; i < 2; i++ {
		failure(workflow.Execute(name, gid, thirty()), limitReason)
	}
	w.fails(gid, limitReason)
	// Whoever refused has nothing to undo.
	expect("calls", f.seen(gid), []string{"alice action", "bob action", "alice compensate"})
	expect("accounts", f.state(), accounts{100, 90, 0})
	return "bob refused, alice has her 100 again"
}

func workflowTcc(w *world, wire workflowWire, name string) string {
	f, gid := wire.open(w, newBank(100, 0)), wire.gid(w)
	defer f.close()
	must(workflow.Register(name, func(wf *workflow.Workflow, _ []byte) error {
		for _, c := range moves(30) {
			c := c
			wf.NewBranch().OnCommit(func(*dtmcli.BranchBarrier) error {
				return wire.call(wf, f, c.account, "confirm", c.amount)
			}).OnRollback(func(*dtmcli.BranchBarrier) error {
				return wire.call(wf, f, c.account, "cancel", c.amount)
			})
			if err := wire.call(wf, f, c.account, "try", c.amount); err != nil {
				return err
			}
		}
		return nil
	}, patient))
	must(workflow.Execute(name, gid, nil))
	w.succeeds(gid)
	expect("calls", f.seen(gid), []string{"alice try", "bob try", "bob confirm", "alice confirm"})
	expect("accounts", f.state(), accounts{70, 30, 0})
	return "tried, then confirmed"
}
