package main

import (
	"os"
	"os/exec"
	"syscall"

	"github.com/dtm-labs/client/workflow"
	"google.golang.org/grpc"
)

// Seconds until the coordinator looks for another executor: soon, yet not before one that dies can have died.
const callback = 2

func resumable(wf *workflow.Workflow) {
	wf.RetryInterval = callback
	wf.RequestTimeout = requestTimeout
}

func workflowResume(w *world, wire workflowWire, name string) string {
	f, gid := resume(w, wire, name, newBank(100, 0))
	defer f.close()
	w.succeeds(gid)
	// What the dead executor had recorded is not done again.
	expect("calls", f.seen(gid), []string{"alice action", "bob action"})
	expect("accounts", f.state(), accounts{70, 30, 0})
	result, err := workflow.Execute2(name, gid, thirty())
	must(err)
	expect("result", string(result), "moved")
	return "the executor died between the steps, another did the second"
}

func workflowResumeRollback(w *world, wire workflowWire, name string) string {
	f, gid := resume(w, wire, name, newBank(100, 90))
	defer f.close()
	w.fails(gid, limitReason)
	expect("calls", f.seen(gid), []string{"alice action", "bob action", "alice compensate"})
	expect("accounts", f.state(), accounts{100, 90, 0})
	return "the executor died between the steps, another undid the first"
}

// resume lets an executor of its own process begin a workflow and die in it. Whoever is called back is this process.
func resume(w *world, wire workflowWire, name string, b book) (*front, string) {
	f, gid := wire.open(w, b), wire.gid(w)
	must(workflow.Register2(name, sagaWorkflow(wire, f, func(string) {}), resumable))
	program, err := os.Executable()
	must(err)
	executor := exec.Command(program, "-http", w.http, "-grpc", w.grpc, "-executor", wire.name(), name, gid,
		f.httpAddr, f.grpcAddr)
	executor.Stderr = os.Stderr
	refused(executor.Run(), "signal: killed")
	expect("calls", f.seen(gid), []string{"alice action"})
	return f, gid
}

// dyingExecutor executes a workflow of `sagaWorkflow`, and kills itself before its second step.
func dyingExecutor(w *world, wireName string, args []string) {
	name, gid := args[0], args[1]
	f := &front{httpAddr: args[2], grpcAddr: args[3], rpc: grpc.NewServer()}
	for _, wire := range workflowWires {
		if wire.name() != wireName {
			continue
		}
		wire.init(w, f)
		must(workflow.Register2(name, sagaWorkflow(wire, f, func(account string) {
			if account == "bob" {
				must(syscall.Kill(os.Getpid(), syscall.SIGKILL))
				select {}
			}
		}), resumable))
		must(workflow.Execute(name, gid, thirty()))
	}
}
