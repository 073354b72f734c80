package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/dtm-labs/client/dtmcli"
)

const (
	within = time.Minute
	pause  = 20 * time.Millisecond
)

// wrong is what a scenario panics with when something is not as it should be; whoever runs it recovers.
type wrong string

func expect(what string, got, wanted interface{}) {
	if !reflect.DeepEqual(got, wanted) {
		panic(wrong(fmt.Sprintf("%s: got %v, expected %v", what, got, wanted)))
	}
}

func must(err error) {
	if err != nil {
		panic(wrong("unexpected error: " + err.Error()))
	}
}

// refused wants an error that is a business "no" and gives its reason.
func refused(err error, reason string) {
	if err == nil {
		panic(wrong("no error, expected one that says: " + reason))
	}
	if !strings.Contains(err.Error(), reason) {
		panic(wrong(fmt.Sprintf("the error is %q, expected one that says: %s", err, reason)))
	}
}

// failure wants the client's own error for a business "no".
func failure(err error, reason string) {
	refused(err, reason)
	expect(fmt.Sprintf("that %q is a FAILURE", err), errors.Is(err, dtmcli.ErrFailure), true)
}

// eventually asks again and again until the answer is yes, for at most a minute.
func eventually(what string, probe func() (string, bool)) {
	deadline := time.Now().Add(within)
	for {
		got, ok := probe()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			panic(wrong(fmt.Sprintf("%s: still %q after %s", what, got, within)))
		}
		time.Sleep(pause)
	}
}

// transaction is the coordinator's own word on a transaction.
type transaction struct {
	Status         string `json:"status"`
	RollbackReason string `json:"rollback_reason"`
	TransType      string `json:"trans_type"`
	Protocol       string `json:"protocol"`
}

func (w *world) query(gid string) transaction {
	var answer struct {
		Transaction *transaction `json:"transaction"`
	}
	must(json.Unmarshal([]byte(w.get("/query?gid="+url.QueryEscape(gid))), &answer))
	if answer.Transaction == nil {
		panic(wrong("the coordinator does not know " + gid))
	}
	return *answer.Transaction
}

// get asks what only an administrator asks.
func (w *world) get(path string) string {
	resp, err := dtmcli.GetRestyClient().R().Get(w.http + path)
	must(err)
	expect("status of "+path+" ("+resp.String()+")", resp.StatusCode(), http.StatusOK)
	return resp.String()
}

// settles waits for the last word on a transaction, and wants this one.
func (w *world) settles(gid, status string) transaction {
	var last transaction
	eventually("the status of "+gid, func() (string, bool) {
		last = w.query(gid)
		return last.Status, last.Status == dtmcli.StatusSucceed || last.Status == dtmcli.StatusFailed
	})
	expect("status of "+gid+" ("+last.RollbackReason+")", last.Status, status)
	return last
}

func (w *world) succeeds(gid string) {
	expect("rollback reason", w.settles(gid, dtmcli.StatusSucceed).RollbackReason, "")
}

func (w *world) fails(gid, reason string) {
	refused(errors.New(w.settles(gid, dtmcli.StatusFailed).RollbackReason), reason)
}
