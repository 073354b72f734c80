package main

import (
	"github.com/dtm-labs/client/dtmcli"
	"github.com/dtm-labs/client/dtmcli/dtmimp"
)

// Seconds, as the client counts them. Retries and questions come soon, so that nobody has to wait for them; calls may
// take long, so that a busy machine makes no second call of one.
const (
	retryInterval  = 1
	requestTimeout = 30
	soon           = 1
	never          = 600
)

// wire is a way to talk to the coordinator and its participants. The scenarios are the same over each; how the client
// is used over one is in the file of its name.
type wire interface {
	// name comes before the names of scenarios.
	name() string
	gid(w *world) string
	// saga has a step for each change, all undone by `compensate`.
	saga(w *world, f *front, gid string, changes []change) saga
	// message gives Bob an amount.
	message(w *world, f *front, gid string, amount int64) message
	// checkURL is where the coordinator asks whether a message's local transaction was committed.
	checkURL(f *front) string
}

type change struct {
	account string
	amount  int64
}

// moves is what a transfer from Alice to Bob changes.
func moves(amount int64) []change {
	return []change{{"alice", -amount}, {"bob", amount}}
}

type saga struct {
	*dtmcli.Saga
	submit func() error
}

type message struct {
	*dtmcli.Msg
	prepare     func(checkURL string) error
	submit      func() error
	doAndSubmit func(checkURL string, local func(*dtmcli.BranchBarrier) error) error
}

func paced(base *dtmimp.TransBase) {
	base.RetryInterval = retryInterval
	base.RequestTimeout = requestTimeout
}
